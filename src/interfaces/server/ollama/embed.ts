// POST /api/embed, and its older form /api/embeddings, for one text.

import { z } from 'zod'
import { inSlices } from '../../../base/timeSlice.js'
import { ollamaError, unsupported } from '../apiError.js'
import { checkAsked } from '../security/asked.js'
import { checked } from '../security/body.js'
import { boundedList, record } from '../security/fields.js'
import { NO_MODEL, type ServedModel } from '../servedModel.js'
import { embeddingRuns, wholeWire } from '../streams/embeddingRuns.js'
import { type Answering, respond } from '../streams/respond.js'
import { type CommonFields, checkOllamaModel, OLLAMA_NAMES, ollamaOptions } from './options.js'

const common = {
  model: z.string({ error: 'model is required' }).min(1, 'model is required'),
  options: record.nullish(),
  keep_alive: z.union([z.string(), z.number()]).nullish(),
}
export const embedFields = z.object({
  ...common,
  input: z.union([z.string(), boundedList(z.string(), 2048)], { error: 'expected a string or a list of at most 2048' }).nullish(),
  truncate: z.boolean().nullish(),
  dimensions: z.int().nullish(),
})
export const oldEmbedFields = z.object({ ...common, prompt: z.string().nullish() })

/** Answers a request. A text that is too long is cut unless the request says otherwise, as Ollama does. */
export async function ollamaEmbed(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const started = performance.now()
  const { loadSeconds = 0 } = answering
  const request = checked(embedFields, body)
  checkOllamaModel(request.model, served)
  checkAsked(ollamaOptions(request, served, answering.exchange), OLLAMA_NAMES)
  const { input, truncate, dimensions } = request
  const { hiddenSize } = served.model.config
  if (dimensions && dimensions !== hiddenSize) throw unsupported(`dimensions is not supported: vectors have ${hiddenSize}`, 'dimensions')
  const inputs = typeof input === 'string' ? [input].filter((text) => text !== '') : (input ?? [])
  const runs = await inSlices(embeddingRuns(inputs, served, { cuts: truncate ?? true }), answering.exchange.signal)
  const wire = wholeWire(ollamaError, (outcomes) => ({
    model: request.model,
    embeddings: outcomes.map(({ vector }) => Array.from(vector!)),
    total_duration: Math.round((performance.now() - started) * 1e6 + loadSeconds * 1e9),
    ...(loadSeconds > 0 && { load_duration: Math.round(loadSeconds * 1e9) }),
    prompt_eval_count: outcomes.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
  }))
  return respond(runs, wire, false, answering)
}

/** Throws an ApiError for what is wrong with a request of either form, whatever its model is. */
export const checkEmbed = (body: Record<string, unknown>) => checkFields(checked(embedFields, body))
export const checkOldEmbed = (body: Record<string, unknown>) => checkFields(checked(oldEmbedFields, body))

function checkFields(request: CommonFields): void {
  checkAsked(ollamaOptions(request, NO_MODEL), OLLAMA_NAMES)
}

/** Answers a request of the older form. Throws an ApiError. */
export async function ollamaEmbeddings(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const request = checked(oldEmbedFields, body)
  checkOllamaModel(request.model, served)
  checkAsked(ollamaOptions(request, served, answering.exchange), OLLAMA_NAMES)
  const runs = await inSlices(embeddingRuns(request.prompt ? [request.prompt] : [], served), answering.exchange.signal)
  const wire = wholeWire(ollamaError, ([outcome]) => ({ embedding: outcome ? Array.from(outcome.vector!) : [] }))
  return respond(runs, wire, false, answering)
}
