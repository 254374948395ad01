// A loaded model as a language model of the AI SDK, version 3 of its interface, which ai 6 and ai 7 take. Connects the
// call, the model and the parts of its answer. The SDK puts proxies before models, so nothing depends on `this`.

import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
} from '@ai-sdk/provider'
import type { ChatOptions } from '../../../text/generate/generationOptions.js'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { leavable } from '../sharedCalls.js'
import { AnswerParts, readAnswer, toolCallPart } from './answerParts.js'
import { callError } from './callError.js'
import { askedChat, PROVIDER } from './callOptions.js'

/** Its calls throw what `MixtralModel.chat` throws, marked for the SDK. */
export function languageModelOf(model: MixtralModel, modelId: string): LanguageModelV3 {
  return {
    specificationVersion: 'v3',
    provider: `${PROVIDER}.chat`,
    modelId,
    supportedUrls: {}, // files are no part of a prompt
    doGenerate: (given) => generated(model, given),
    doStream: (given) => streamed(model, given),
  }
}

async function generated(model: MixtralModel, given: LanguageModelV3CallOptions): Promise<LanguageModelV3GenerateResult> {
  try {
    const { messages, options, warnings } = askedChat(given)
    const parts = partsFor(model, options)
    const result = await readAnswer(model.streamChat(messages, options), (piece) => parts.add(piece))
    const text = result.text === '' ? [] : [{ type: 'text' as const, text: result.text }]
    return { content: [...text, ...result.toolCalls.map(toolCallPart)], warnings, ...parts.outcome(result) }
  } catch (error) {
    throw callError(error)
  }
}

/** What is wrong with the call is thrown, what goes wrong later is a part. Cancelling ends the generation. */
async function streamed(model: MixtralModel, given: LanguageModelV3CallOptions): Promise<LanguageModelV3StreamResult> {
  const { signal, leave } = leavable(given.abortSignal)
  try {
    const { messages, options, warnings } = askedChat(given)
    let accept = () => {}
    const accepted = new Promise<void>((resolve) => {
      accept = resolve
    })
    const answer = model.streamChat(messages, { ...options, signal, onAccepted: accept })
    const first = answer.next()
    await Promise.race([accepted, first])
    const parts = answerParts({ answer, first, parts: partsFor(model, options), withRaw: given.includeRawChunks ?? false, leave })
    return { stream: readable(prefixed({ type: 'stream-start', warnings }, parts), leave) }
  } catch (error) {
    leave()
    throw callError(error)
  }
}

function partsFor({ config }: MixtralModel, { experts }: ChatOptions): AnswerParts {
  return new AnswerParts(experts ? config.layers : undefined)
}

interface Reading {
  readonly answer: ReturnType<MixtralModel['streamChat']>
  /** The piece that has been asked for already. */
  readonly first: ReturnType<Reading['answer']['next']>
  readonly parts: AnswerParts
  readonly withRaw: boolean
  readonly leave: () => void
}

async function* answerParts({ answer, first, parts, withRaw, leave }: Reading): AsyncGenerator<LanguageModelV3StreamPart, void> {
  try {
    for (let coming = first; ; coming = answer.next()) {
      const { done, value } = await coming
      if (done) {
        yield* parts.end(value)
        return
      }
      if (withRaw) yield { type: 'raw', rawValue: value }
      yield* parts.add(value)
    }
  } catch (error) {
    const told = callError(error)
    if ((told as Error).name === 'AbortError') throw told // the SDK knows what its own signal means
    yield* parts.fail(told)
  } finally {
    leave()
    await answer.return(undefined as never).catch(() => {}) // left early, it has no reader to tell
  }
}

async function* prefixed<T>(first: T, others: AsyncGenerator<T, void>): AsyncGenerator<T, void> {
  yield first
  yield* others
}

/** A stream that reads ahead by no more than a part. */
function readable<T>(parts: AsyncGenerator<T, void>, leave: () => void): ReadableStream<T> {
  return new ReadableStream<T>({
    async pull(controller) {
      const { done, value } = await parts.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      leave()
      await parts.return()
    },
  })
}
