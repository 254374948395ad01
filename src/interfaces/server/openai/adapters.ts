// Adapters in requests, as llama-server has them: `lora` is a list of numbers of adapters, each with a scale. Those
// that are not in it count nothing; without the field, what holds for the model does. And GET /lora-adapters, which
// lists them: by the names of their files, as no path of this machine is told.

import path from 'node:path'
import { z } from 'zod'
import { limits } from '../../../base/limits.js'
import type { GenerationOptions } from '../../../text/generate/generationOptions.js'
import { type ModelHost, modelInMemory } from '../models/modelHost.js'
import { checked } from '../security/body.js'
import { boundedList } from '../security/fields.js'

const most = limits.adapters.most
const choice = z.object({
  id: z
    .int()
    .min(0)
    .max(most - 1),
  scale: z.number(),
})
const loraFields = z.object({ lora: boundedList(choice, most).nullish() })

/** The choice of adapters in a request; nothing without one. Throws an ApiError for a field that is wrong. */
export function adaptersOf(body: Readonly<Record<string, unknown>>): Pick<GenerationOptions, 'adapters'> {
  if (body.lora === undefined || body.lora === null) return {}
  const { lora } = checked(loraFields, { lora: body.lora })
  const scales: number[] = []
  for (const { id, scale } of lora ?? []) {
    while (scales.length <= id) scales.push(0)
    scales[id] = scale
  }
  return { adapters: scales }
}

/** Of the model that was used last, or that `asked` names. Throws an ApiError 503 for one that is not in memory. */
export function loraAdapters(host: ModelHost, asked?: string): object[] {
  const { adapters } = modelInMemory(host, asked).model
  return adapters.map(({ path: file, scale }, id) => ({ id, path: path.basename(file), scale }))
}
