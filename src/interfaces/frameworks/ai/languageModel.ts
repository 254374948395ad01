// A loaded model as a language model of the AI SDK, version 3 of its interface, which ai 6 and ai 7 take. Connects the
// call, the model and the parts of its answer.

import type { LanguageModelV3, LanguageModelV3CallOptions, LanguageModelV3GenerateResult, LanguageModelV3StreamPart } from '@ai-sdk/provider'
import type { AnswerStream, ChatResult } from '../../../text/generate/generationResult.js'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { AnswerParts, readAnswer, toolCallPart } from './answerParts.js'
import { callError } from './callError.js'
import { type AskedChat, askedChat, PROVIDER } from './callOptions.js'

export class MixtralLanguageModel implements LanguageModelV3 {
  readonly specificationVersion = 'v3'
  readonly provider = `${PROVIDER}.chat`
  readonly modelId: string
  /** None: files are no part of a prompt. */
  readonly supportedUrls = {}
  readonly #model: MixtralModel

  constructor(model: MixtralModel, modelId: string) {
    this.#model = model
    this.modelId = modelId
  }

  /** Throws what `MixtralModel.chat` throws, marked for the SDK. */
  async doGenerate(given: LanguageModelV3CallOptions): Promise<LanguageModelV3GenerateResult> {
    try {
      const { messages, options, warnings } = askedChat(given)
      const parts = this.#parts(options)
      const result = await readAnswer(this.#model.streamChat(messages, options), (piece) => parts.add(piece))
      const text = result.text === '' ? [] : [{ type: 'text' as const, text: result.text }]
      return { content: [...text, ...result.toolCalls.map(toolCallPart)], warnings, ...parts.outcome(result) }
    } catch (error) {
      throw callError(error)
    }
  }

  /**
   * Throws what is wrong with the call, as `doGenerate` does. What goes wrong later is a part of the stream; leaving the
   * stream ends the generation.
   */
  async doStream(given: LanguageModelV3CallOptions): Promise<{ stream: ReadableStream<LanguageModelV3StreamPart> }> {
    try {
      const asked = askedChat(given)
      const leaving = new AbortController()
      const signal = AbortSignal.any([leaving.signal, ...(asked.options.signal ? [asked.options.signal] : [])])
      let accept = () => {}
      const accepted = new Promise<void>((resolve) => {
        accept = resolve
      })
      const answer = this.#model.streamChat(asked.messages, { ...asked.options, signal, onAccepted: accept })
      const first = answer.next()
      await Promise.race([accepted, first])
      const parts = this.#stream(asked, answer, first, given.includeRawChunks ?? false)
      return { stream: readable(parts, () => leaving.abort()) }
    } catch (error) {
      throw callError(error)
    }
  }

  #parts(options: AskedChat['options']): AnswerParts {
    return new AnswerParts(options.experts ? this.#model.config.layers : undefined)
  }

  async *#stream(
    { warnings, options }: AskedChat,
    answer: AnswerStream<ChatResult>,
    first: ReturnType<AnswerStream<ChatResult>['next']>,
    withRaw: boolean,
  ): AsyncGenerator<LanguageModelV3StreamPart, void> {
    const parts = this.#parts(options)
    yield { type: 'stream-start', warnings }
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
      if (options.signal?.aborted) throw error // the SDK knows what its own signal means
      yield* parts.fail(callError(error))
    } finally {
      await answer.return(undefined as never).catch(() => {}) // left early, it has no reader to tell
    }
  }
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
