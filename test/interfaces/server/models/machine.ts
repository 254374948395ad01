// A machine with models, a registry on loopback, and a server of its catalog, for the tests of a file. Not a test.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, vi } from 'vitest'
import {
  type CatalogEvent,
  type CatalogOptions,
  ModelCatalog,
  type RunningServer,
  type ServeOptions,
  serve,
} from '../../../../dist/server.js'
import { digestOf, type OllamaModel, ollamaModel } from '../../../registry/ollamaModel.js'
import { type UsedRegistry, useRegistry } from '../../../registry/useRegistry.js'
import type { Json } from '../served.js'

export const demoPath = new URL('../../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url)
export const demoFile = readFileSync(demoPath)
/** What the demo takes in memory here: two of them have room in three of these. */
export const load = { threads: 1, sequences: 4, kvTokens: 1024 }

export interface Machine extends UsedRegistry {
  readonly catalog: ModelCatalog
  readonly running: RunningServer
  readonly events: CatalogEvent[]
  start(catalog?: CatalogOptions, options?: ServeOptions): Promise<void>
  stop(): Promise<void>
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>
  /** Status and answer. */
  ask(path: string, body: unknown, method?: string): Promise<[number, Json]>
  get(path: string): Promise<Json>
}

/** To be called at the top of a file of tests. Each test has empty stores. */
export function useMachine(): Machine {
  vi.setConfig({ testTimeout: 120_000 }) // many models are loaded, on machines that do other things too
  const registry = useRegistry()
  const machine = { ...registry, events: [] as CatalogEvent[] } as { -readonly [Name in keyof Machine]: Machine[Name] }
  beforeEach(() => {
    process.env.MIXTRAL_HOME = registry.newFolder()
    process.env.OLLAMA_MODELS = registry.newFolder()
    process.env.HF_HUB_CACHE = registry.newFolder()
    machine.events = []
  })
  afterEach(() => machine.stop())
  machine.start = async (catalog = {}, options = {}) => {
    const onEvent = (event: CatalogEvent) => void machine.events.push(event)
    machine.catalog = await ModelCatalog.open({ load, ...catalog, onEvent })
    machine.running = await serve(machine.catalog, { port: 0, allowedRegistries: [registry.server.host], graceSeconds: 60, ...options })
  }
  machine.stop = async () => {
    await machine.running?.close()
    await machine.catalog?.close()
  }
  machine.post = (path, body, init = {}) => fetch(machine.running.url + path, { method: 'POST', body: JSON.stringify(body), ...init })
  machine.ask = async (path, body, method = 'POST') => {
    const response = await machine.post(path, body, { method })
    const text = await response.text()
    return [response.status, text === '' ? '' : JSON.parse(text)]
  }
  machine.get = async (path) => (await fetch(machine.running.url + path)).json()
  return machine
}

/** The demo as a model of Ollama, with another system message for each name. */
export function model(layers: Record<string, unknown> = {}): OllamaModel {
  return ollamaModel(layers, demoFile)
}

/** Puts a model into a folder in Ollama's layout: Ollama's own store, or a part of ours. */
export function store(folder: string, name: string, { manifest, blobs }: OllamaModel): void {
  const [model, tag = 'latest'] = name.split(':') as [string, string?]
  const target = path.join(folder, 'manifests', 'registry.ollama.ai', 'library', model)
  mkdirSync(target, { recursive: true })
  writeFileSync(path.join(target, tag), manifest)
  mkdirSync(path.join(folder, 'blobs'), { recursive: true })
  for (const bytes of blobs.values()) writeFileSync(path.join(folder, 'blobs', digestOf(bytes).replace(':', '-')), bytes)
}

export const ownStore = () => path.join(process.env.MIXTRAL_HOME!, 'ollama')

/** Puts the demo into the cache of the hub. */
export function storeInHub(owner: string, repo: string, file: string): void {
  const folder = path.join(process.env.HF_HUB_CACHE!, `models--${owner}--${repo}`)
  mkdirSync(path.join(folder, 'refs'), { recursive: true })
  writeFileSync(path.join(folder, 'refs', 'main'), 'abc123')
  mkdirSync(path.join(folder, 'snapshots', 'abc123'), { recursive: true })
  cpSync(demoPath, path.join(folder, 'snapshots', 'abc123', file))
}
