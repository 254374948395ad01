// Requests to the server that the page came from, and to no other. Owns the key that they bring, and where it is kept.

import { Failure, failureOf, GONE } from './failure.js'

export interface ServedModel {
  readonly id: string
  readonly context: number | undefined
  readonly layers: number | undefined
  readonly experts: number | undefined
  readonly used: number | undefined
}

export interface Load {
  readonly running: number
  readonly waiting: number
}

const KEY = 'mixtral-api-key'

const places = { tab: () => sessionStorage, browser: () => localStorage }

let key = read(places.tab) ?? read(places.browser) ?? ''

export function hasKey(): boolean {
  return key !== ''
}

/** Keeps the key for this tab, or for this browser; an empty one is forgotten. */
export function setKey(given: string, stays: boolean): void {
  key = given.trim()
  for (const [place, keeps] of [
    [places.tab, !stays],
    [places.browser, stays],
  ] as const) {
    try {
      if (keeps && key) place().setItem(KEY, key)
      else place().removeItem(KEY)
    } catch {
      // without a storage the key lasts as long as the page
    }
  }
}

/** A path of the server; it may be mounted below another one. Throws a Failure for all but a status of 2xx. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...(init.body ? { 'content-type': 'application/json' } : {}), ...(key && { authorization: `Bearer ${key}` }) }
  let response: Response
  try {
    response = await fetch(new URL(path, location.href), { cache: 'no-store', credentials: 'same-origin', ...init, headers })
  } catch (error) {
    if (init.signal?.aborted) throw error
    throw new Failure(GONE)
  }
  if (response.ok) return response
  throw await failureOf(response)
}

export async function models(): Promise<readonly ServedModel[]> {
  const { data } = await json<{ data?: unknown }>('v1/models')
  return (Array.isArray(data) ? data : []).flatMap((one): ServedModel[] => {
    if (typeof one?.id !== 'string') return []
    const number = (name: string) => (typeof one.meta?.[name] === 'number' ? Number(one.meta[name]) : undefined)
    return [{ id: one.id, context: number('n_ctx'), layers: number('n_layer'), experts: number('n_expert'), used: number('n_expert_used') }]
  })
}

/** What runs and waits on the server, of anybody. */
export async function load(): Promise<Load> {
  const text = await (await send('metrics')).text()
  const value = (name: string) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1] ?? 0)
  return { running: value('mixtral_sequences_running'), waiting: value('mixtral_sequences_waiting') }
}

export async function isThere(): Promise<boolean> {
  return send('health').then(
    () => true,
    () => false,
  )
}

async function json<T>(path: string): Promise<T> {
  const response = await send(path)
  try {
    return (await response.json()) as T
  } catch {
    throw new Failure(`The server's answer to ${path} is no JSON.`)
  }
}

function read(place: () => Storage): string | undefined {
  try {
    return place().getItem(KEY) ?? undefined
  } catch {
    return undefined
  }
}
