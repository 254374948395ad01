// What a result depends on beside its request: the model and the arithmetic. A request gets what it leaves open, so
// that its result follows from it alone: a seed and the name of the model. Owns keys.

import { createHash } from 'node:crypto'
import path from 'node:path'
import { checkText, MixtralError, shown } from '../../base/errors.js'
import { openGguf } from '../../format/gguf/openGguf.js'
import { localModel } from '../../registry/stores/localModels.js'
import { checkAdapters } from '../../runtime/adapters/adapterSet.js'
import type { EngineOptions } from '../../runtime/engine/engineOptions.js'
import { readAdapters } from '../../runtime/engine/loadedAdapters.js'
import { compileKernels } from '../../runtime/kernels/compile.js'
import { configOf } from '../../runtime/weights/mixtralConfig.js'
import { mixtralTensors } from '../../runtime/weights/mixtralTensors.js'
import { residentNeeds } from '../../runtime/weights/plan.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { allAdapters } from '../../text/generate/modelParts.js'
import { planOptions } from '../inspect/modelFacts.js'
import { canonical, type ModelMark, markOf, sha256 } from '../server/modelMark.js'
import { isCalled, type ServedModel, servedModel, servedVersion } from '../server/servedModel.js'
import type { BatchInput, BatchRequest } from './batchInput.js'

export interface BatchModel extends ModelMark {
  readonly served: ServedModel
}

/** A request with everything that its result depends on. */
export interface KeyedRequest extends BatchRequest, ModelMark {
  readonly batch: string
  /** SHA-256 of the model's marks, the address and the body. */
  readonly key: string
  /** Undefined where nothing is drawn. */
  readonly seed: number | undefined
  /** The model's name in the answer. */
  readonly name: string
}

/** @param name by which requests may call the model, beside that of its file */
export async function batchModel(model: MixtralModel, name?: string): Promise<BatchModel> {
  if (name !== undefined) checkText('the name', name)
  return markedModel(servedModel(model, { name, aliases: [] }))
}

export async function markedModel(served: ServedModel): Promise<BatchModel> {
  return { served, ...(await markOf(served.model, served.fingerprint)) }
}

/** The marks of a model that is not loaded, as they are when it is. Throws what its header is refused for; `IO`. */
export async function headerMark(
  name: string,
  { adapters: given, ...options }: Pick<EngineOptions, 'contextLength' | 'kvFormat' | 'adapters'>,
): Promise<ModelMark & { readonly name: string }> {
  const { path: file, layers, adapters: own } = await localModel(name)
  const gguf = await openGguf(file)
  const config = configOf(gguf)
  const { build } = await compileKernels()
  const asked = planOptions(config, { build, layers, options })
  const { kvFormat } = residentNeeds(config, mixtralTensors(config, gguf), asked)
  const adapters = await readAdapters(await allAdapters(own, checkAdapters(given)), config)
  const mark = await markOf({ gguf, layers, adapters, contextLength: asked.contextLength, memory: { kvFormat } }, servedVersion())
  return { ...mark, name: path.basename(file).replace(/\.gguf$/i, '') }
}

/** Throws `OPTION` where a request of the file names another model. */
export function checkModels({ models }: BatchInput, served: Pick<ServedModel, 'name' | 'aliases'>): void {
  for (const [name, where] of models) {
    if (isCalled(served, name)) continue
    throw new MixtralError(
      'OPTION',
      `${where}: model is ${shown(name)}, expected ${shown(served.name)}, or none; another name can be given`,
    )
  }
}

/** Fills in what a request leaves open. `name` is the model's, for requests without one. */
export function keyedRequest(request: BatchRequest, batch: string, { model, numerics }: ModelMark, name: string): KeyedRequest {
  const { customId, url, body } = request
  const asked = typeof body.model === 'string' && body.model !== '' ? body.model : name
  const draws = url !== '/v1/embeddings'
  const seed = draws ? (isOpen(body.seed) ? seedFor(batch, customId) : body.seed) : undefined
  const whole = { ...body, model: asked, ...(draws && { seed }) }
  const key = sha256(canonical([model, numerics, url, whole]))
  return { ...request, body: whole, batch, key, seed: typeof seed === 'number' ? seed : undefined, name: asked, model, numerics }
}

/** Whether a request leaves its seed to the server. */
function isOpen(seed: unknown): boolean {
  return seed === undefined || seed === null || seed === -1
}

/** 48 bits that follow from the batch and the request's id. */
function seedFor(batch: string, customId: string): number {
  return createHash('sha256')
    .update(JSON.stringify([batch, customId]))
    .digest()
    .readUIntBE(0, 6)
}
