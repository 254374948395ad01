// A loaded model as a chat model of LangChain. Connects LangChain's calls with the model; messages, options and answers
// are translated beside it.

import type { CallbackManagerForLLMRun, Callbacks } from '@langchain/core/callbacks/manager'
import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from '@langchain/core/language_models/base'
import {
  BaseChatModel,
  type BaseChatModelParams,
  type BindToolsInput,
  type LangSmithParams,
} from '@langchain/core/language_models/chat_models'
import type { ModelProfile } from '@langchain/core/language_models/profile'
import type { AIMessageChunk, BaseMessage, BaseMessageLike, MessageContent } from '@langchain/core/messages'
import type { ChatGenerationChunk, ChatResult, LLMResult } from '@langchain/core/outputs'
import type { Runnable, RunnableConfig } from '@langchain/core/runnables'
import type { SerializableSchema } from '@langchain/core/utils/standard_schema'
import type { InteropZodType } from '@langchain/core/utils/types'
import type { ChatOptions } from '../../../text/generate/generationOptions.js'
import type { ChatResult as Answer } from '../../../text/generate/generationResult.js'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { RoutedList } from '../../server/openai/routedExperts.js'
import { checkModel, modelIdentity, modelName } from '../sharedCalls.js'
import { finishReason, langchainError, lastChunk, pieceChunks, usageOf, wholeMessage } from './answerMessages.js'
import {
  answerOptions,
  type ChatMixtralCallOptions,
  chatOptions,
  copiedOptions,
  type MixtralAnswerOptions,
  toolDefinition,
} from './callOptions.js'
import { chatMessages, copiedMessage } from './messages.js'
import { structuredOutput } from './structuredOutput.js'

/** A loaded model, which stays its owner's to close; options of all its answers; and LangChain's own. */
export interface ChatMixtralFields extends BaseChatModelParams, MixtralAnswerOptions {
  readonly model: MixtralModel
}

/** An object that a schema describes. */
// biome-ignore lint/suspicious/noExplicitAny: LangChain's own word for it
export type StructuredObject = Record<string, any>

/** A schema: of Zod, of another library that has the Standard Schema, or JSON Schema. */
export type StructuredSchema<Output extends StructuredObject> = InteropZodType<Output> | SerializableSchema<Output> | StructuredObject

/** What it counts beside a whole answer. */
interface Answered {
  readonly answer: Answer
  readonly routed: RoutedList | undefined
}

/**
 * A chat model of LangChain over a loaded model. Calls at the same time share the model's steps. Errors are LangChain's
 * `ContextOverflowError` and `ModelAbortError`, and MixtralErrors for the rest.
 * @example
 * const chat = new ChatMixtral({ model: await MixtralModel.load('demo'), temperature: 0 })
 * const { content } = await chat.invoke('Who are you?')
 */
export class ChatMixtral extends BaseChatModel<ChatMixtralCallOptions> {
  readonly #model: MixtralModel
  readonly #name: string
  readonly #defaults: MixtralAnswerOptions

  /** Throws `OPTION` for what is no model, and for an option that is none. */
  constructor(fields: ChatMixtralFields) {
    super(fields)
    const { model, disableStreaming = false, ...others } = fields
    checkModel('model', model)
    this.#model = model
    this.#name = modelName(model)
    this.#defaults = answerOptions(others)
    this.disableStreaming = disableStreaming
  }

  /** The name of the class, whatever a bundler makes of it. */
  static override lc_name(): string {
    return 'ChatMixtral'
  }

  /** The kind of model, for LangChain's caches and traces. */
  override _llmType(): string {
    return 'mixtral-wasm'
  }

  /** What answers depend on beside a call, for LangChain's caches. */
  override _identifyingParams(): Record<string, unknown> {
    return { ...modelIdentity(this.#model), ...this.#defaults }
  }

  override get profile(): ModelProfile {
    return { maxInputTokens: this.#model.contextLength, toolCalling: true, toolChoice: true, structuredOutput: true }
  }

  /** What traces tell of a call. */
  override getLsParams(call: this['ParsedCallOptions']): LangSmithParams {
    const { temperature, maxNewTokens, stop } = this.invocationParams(call)
    return {
      ls_provider: 'mixtral-wasm',
      ls_model_name: this.#name,
      ls_model_type: 'chat',
      ...(temperature !== undefined && { ls_temperature: temperature }),
      ...(maxNewTokens !== undefined && { ls_max_tokens: maxNewTokens }),
      ...(stop !== undefined && { ls_stop: [stop].flat() as string[] }),
    }
  }

  /** What a call asks of `MixtralModel.chat`. Throws `OPTION`. */
  override invocationParams(call: Partial<ChatMixtralCallOptions> = {}): Omit<ChatOptions, 'signal'> {
    const { signal: _, ...options } = chatOptions(this.#defaults, call)
    return options
  }

  /** The tokens of a text, as the model counts them: without those that a prompt has around it. Throws nothing. */
  override async getNumTokens(content: MessageContent): Promise<number> {
    const parts = typeof content === 'string' ? [content] : content.map((part) => ('text' in part ? String(part.text) : ''))
    return this.#model.tokenizer.encode(parts.join(''), { addBos: false }).length
  }

  /** A runnable whose calls have these tools: LangChain's, or definitions as in the OpenAI API. */
  override bindTools(
    tools: BindToolsInput[],
    { strict, ...call }: Partial<ChatMixtralCallOptions> & { readonly strict?: boolean } = {},
  ): Runnable<BaseLanguageModelInput, AIMessageChunk, ChatMixtralCallOptions> {
    return this.withConfig({ ...call, tools: tools.map((tool) => toolDefinition(tool, strict)) })
  }

  /**
   * A runnable that gives objects of a schema. Methods: `jsonSchema`, the default, holds the text to the schema;
   * `functionCalling` asks for a call; `jsonMode` holds the text to any object. Throws `OPTION` for another method.
   */
  override withStructuredOutput<Output extends StructuredObject = StructuredObject>(
    schema: StructuredSchema<Output>,
    config?: StructuredOutputMethodOptions<false>,
  ): Runnable<BaseLanguageModelInput, Output>
  /** With `includeRaw`, the message beside the object. */
  override withStructuredOutput<Output extends StructuredObject = StructuredObject>(
    schema: StructuredSchema<Output>,
    config?: StructuredOutputMethodOptions<true>,
  ): Runnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: Output }>
  override withStructuredOutput(
    schema: StructuredObject,
    config: StructuredOutputMethodOptions<boolean> = {},
  ): Runnable<BaseLanguageModelInput, StructuredObject> {
    return structuredOutput(this, schema, config)
  }

  /** Messages and options are read at the call. Throws what `invoke` throws. */
  override generate(
    messages: BaseMessageLike[][],
    options?: string[] | Partial<ChatMixtralCallOptions>,
    callbacks?: Callbacks,
  ): Promise<LLMResult> {
    const copies = messages.map((list) => list.map(copiedMessage))
    return super.generate(copies, options, callbacks)
  }

  /** What `stream` gives; the same holds. Throws what `invoke` throws. */
  override _streamIterator(input: BaseLanguageModelInput, options?: Partial<ChatMixtralCallOptions>): AsyncGenerator<AIMessageChunk> {
    return super._streamIterator(Array.isArray(input) ? input.map(copiedMessage) : input, options)
  }

  protected override _separateRunnableConfigFromCallOptionsCompat(
    options?: Partial<ChatMixtralCallOptions>,
  ): [RunnableConfig, this['ParsedCallOptions']] {
    const [config, call] = super._separateRunnableConfigFromCallOptionsCompat(options)
    return [config, copiedOptions(call)]
  }

  /** The tokens of all answers of one `generate`. */
  override _combineLLMOutput(...outputs: LLMResult['llmOutput'][]): LLMResult['llmOutput'] {
    const sum = { promptTokens: 0, completionTokens: 0, totalTokens: 0 }
    for (const output of outputs) for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += output?.tokenUsage?.[name] ?? 0
    return { tokenUsage: sum }
  }

  /** Tells callbacks of each piece, too. Throws what `MixtralModel.chat` throws, as LangChain's own errors. */
  override async _generate(messages: BaseMessage[], call: this['ParsedCallOptions'], run?: CallbackManagerForLLMRun): Promise<ChatResult> {
    const outcome = await this.caller.call(async (): Promise<Answered | { readonly thrown: unknown }> => {
      const chunks = this.#chunks(messages, call)
      try {
        for (;;) {
          const { done, value } = await chunks.next()
          if (done) return value
          const failed = await tell(run, value).then(
            () => undefined,
            (thrown: unknown) => ({ thrown }), // no matter of the model, so not to be tried again
          )
          if (failed) return failed
        }
      } finally {
        await chunks.return(undefined as never)
      }
    })
    if ('thrown' in outcome) throw outcome.thrown
    const { answer, routed } = outcome
    const message = wholeMessage(answer, this.#name, routed)
    const { input_tokens: promptTokens, output_tokens: completionTokens, total_tokens: totalTokens } = usageOf(answer)
    return {
      generations: [{ text: answer.text, message, generationInfo: { finish_reason: finishReason(answer) } }],
      llmOutput: { tokenUsage: { promptTokens, completionTokens, totalTokens } },
    }
  }

  /** Throws what `_generate` throws. Leaving the loop ends the generation. */
  override async *_streamResponseChunks(
    messages: BaseMessage[],
    call: this['ParsedCallOptions'],
    run?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const chunks = this.#chunks(messages, call)
    try {
      for (;;) {
        const { done, value } = await chunks.next()
        if (done) {
          yield lastChunk(value.answer, this.#name, value.routed)
          return
        }
        yield value
        await tell(run, value)
      }
    } finally {
      await chunks.return(undefined as never)
    }
  }

  async *#chunks(messages: readonly BaseMessage[], call: Partial<ChatMixtralCallOptions>): AsyncGenerator<ChatGenerationChunk, Answered> {
    try {
      const options = chatOptions(this.#defaults, call)
      const routed = options.experts ? new RoutedList(this.#model.config.layers) : undefined
      const stream = this.#model.streamChat(chatMessages(messages), options)
      for await (const piece of stream) {
        routed?.add(piece.experts)
        yield* pieceChunks(piece)
      }
      return { answer: await stream.result, routed }
    } catch (error) {
      throw langchainError(error)
    }
  }
}

/** Tells the callbacks of a run of a new piece. */
async function tell(run: CallbackManagerForLLMRun | undefined, chunk: ChatGenerationChunk): Promise<void> {
  await run?.handleLLMNewToken(chunk.text, { prompt: 0, completion: 0 }, undefined, undefined, undefined, { chunk })
}
