// Adapters in requests, as llama-server has them: `lora` is a list of numbers of adapters, each with a scale. Those
// that are not in it count nothing; without the field, what holds for the model does. And GET /lora-adapters, which
// lists them: by the names of their files, as no path of this machine is told, and what tells those of one name apart.

import path from 'node:path'
import { z } from 'zod'
import { limits } from '../../../base/limits.js'
import type { GenerationOptions } from '../../../text/generate/generationOptions.js'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { ApiError, badRequest } from '../apiError.js'
import { type ModelHost, modelInMemory } from '../models/modelHost.js'
import { checked } from '../security/body.js'
import { boundedList } from '../security/fields.js'

type Body = Readonly<Record<string, unknown>>

const most = limits.adapters.most
const choice = z.object({
  id: z
    .int()
    .min(0)
    .max(most - 1),
  scale: z.number(),
})
/** The field of requests. */
export const loraFields = z.object({ lora: boundedList(choice, most).nullish() })

/** What the option of ours is called in requests. */
export const ADAPTER_NAMES: ReadonlyMap<string, string> = new Map([['adapters', 'lora']])

/**
 * The choice of adapters in a request; nothing without one. Throws an ApiError for a field that is wrong, and for an
 * adapter that the model, where it is known, has not.
 */
export function adaptersOf(body: Body, model?: Pick<MixtralModel, 'adapters'>): Pick<GenerationOptions, 'adapters'> {
  if (body.lora === undefined || body.lora === null) return {}
  const { lora } = checked(loraFields, { lora: body.lora })
  const count = model?.adapters.length ?? most
  const wrong = lora?.find(({ id }) => id >= count)
  if (wrong) {
    const expected = count === 0 ? 'none: the model has no adapters' : `one from 0 to ${count - 1}`
    throw badRequest(`lora has id ${wrong.id}, expected ${expected}`, 'lora')
  }
  const scales: number[] = []
  for (const { id, scale } of lora ?? []) {
    while (scales.length <= id) scales.push(0)
    scales[id] = scale
  }
  return { adapters: scales }
}

/** llama-server sets scales for all requests by a POST; here they would change what others have asked for. */
export function refuseScales(): never {
  throw new ApiError(501, 'scales are not set for all requests: each request has its own in the field lora')
}

/** Of the model that was used last, or that `asked` names. Throws an ApiError 503 for one that is not in memory. */
export function loraAdapters(host: ModelHost, asked?: string): object[] {
  const { adapters } = modelInMemory(host, asked).model
  return adapters.map(({ path: file, scale, sha256 }, id) => ({ id, path: path.basename(file), scale, sha256 }))
}
