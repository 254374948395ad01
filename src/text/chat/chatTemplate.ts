// A chat as a prompt: the messages go through the Jinja template in the model's file, or the Go template beside it, and
// the text becomes tokens. Owns three promises: the text of a message never becomes a control token, there is exactly
// one BOS where the file asks for one, and an answer that the assistant has begun goes on. Templates are run by
// templateProgram.ts, and become tokens in promptTokens.ts; what they do not know, a system role or tools, is folded
// into other messages.

import { MixtralError } from '../../base/errors.js'
import { atOnce, type Steps } from '../../base/timeSlice.js'
import type { GgufValue } from '../../format/gguf/gguf.js'
import { TemplateRefusal } from '../jinja/globals.js'
import { Text } from '../templates/markedText.js'
import { ChatBudget, WorkLimit } from '../templates/workBudget.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { type CallFormat, GENERIC } from '../tools/callFormat.js'
import { asJson } from '../tools/plainJson.js'
import { shortId } from '../tools/toolCalls.js'
import type { CheckedTool } from '../tools/toolDefinitions.js'
import { type ChatMessage, checkMessages, foldSystem, joinTurns, type Turn } from './chatMessages.js'
import { foldTools } from './foldTools.js'
import { type LearnedFormat, learnCallFormat } from './learnCallFormat.js'
import { meantTemplate, usualTemplate } from './namedFormats.js'
import type { TurnCall } from './openCalls.js'
import { PromptTokens } from './promptTokens.js'
import { specialVariables, type TemplateInput, turnOrigin } from './templateInput.js'
import { isOverTime, TemplateProgram } from './templateProgram.js'

export interface RenderedChat {
  /** The prompt, with BOS where the file asks for it. */
  readonly ids: number[]
  /** The text of the prompt as the template wrote it, for people to read. */
  readonly text: string
  /** Whether the template has no system role, so that the system message was put before the first user message. */
  readonly folded: boolean
}

/** A prompt before it becomes tokens, with what is known of the answer. */
export interface ChatPrompt extends Omit<RenderedChat, 'ids'> {
  /** How the model writes calls, where there are tools. */
  readonly format: CallFormat | undefined
  /** Whether the prompt ends in the middle of the assistant's text. */
  readonly continues: boolean
  /** Makes the prompt's tokens: `ids` of the rendered chat. */
  tokens(): Steps<number[]>
}

export interface RenderOptions {
  readonly tools?: readonly CheckedTool[] | undefined
  /** Whether the prompt asks for an answer. Default true. */
  readonly addGenerationPrompt?: boolean
}

/** What a template has written of turns. */
interface Written {
  readonly written: Text
  readonly turns: readonly Turn[]
}

/** What is known of a file beside its templates. */
interface About {
  readonly notes?: readonly string[]
  readonly specials?: TemplateInput['specials']
}

/** A question by which a template shows how it takes contents. */
const PROBE: Turn = { role: 'user', content: 'question', calls: [] }

export class ChatTemplate {
  readonly #program: TemplateProgram
  /** The template for conversations with tools, where the file has one of its own. */
  readonly #toolProgram: TemplateProgram
  readonly #tokenizer: Tokenizer
  readonly #tokens: PromptTokens
  /** What is odd about the template, for people to read. */
  readonly notes: readonly string[]
  readonly #specials: TemplateInput['specials']
  /** Which programs are given contents as parts. */
  readonly #parts = new Map<TemplateProgram, boolean>()
  #learned: LearnedFormat | 'none' | undefined

  private constructor(
    program: TemplateProgram,
    toolProgram: TemplateProgram,
    tokenizer: Tokenizer,
    { notes = [], specials = {} }: About = {},
  ) {
    this.#specials = specials
    this.#program = program
    this.#toolProgram = toolProgram
    this.#tokenizer = tokenizer
    this.#tokens = new PromptTokens(
      tokenizer,
      [...new Set([program, toolProgram])].map(({ source }) => source),
    )
    this.notes = notes
  }

  /** Takes the Go template of an Ollama model. */
  static fromOllama(source: string, tokenizer: Tokenizer): ChatTemplate {
    const program = new TemplateProgram(source, 'go')
    return new ChatTemplate(program, program, tokenizer)
  }

  /**
   * Takes the template under `tokenizer.chat_template`, and for tools the one under
   * `tokenizer.chat_template.tool_use`, if there is one. A file without a template gets the format that its vocabulary
   * shows: ChatML, Mistral's third, else Mixtral's own. A known format may stand there by its name. Nothing is parsed
   * before the first `render`. Throws `TEMPLATE` if a key holds no text.
   */
  static fromGgufMetadata(metadata: ReadonlyMap<string, GgufValue>, tokenizer: Tokenizer): ChatTemplate {
    const own = programAt('tokenizer.chat_template', metadata, tokenizer)
    const usual = usualTemplate(tokenizer)
    const program = own ?? new TemplateProgram(usual.source, 'jinja')
    const about = { notes: own ? [] : usual.notes, specials: specialVariables(metadata, tokenizer) }
    return new ChatTemplate(program, programAt('tokenizer.chat_template.tool_use', metadata, tokenizer) ?? program, tokenizer, about)
  }

  /** The prompt with its tokens. Throws what `write` throws. */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): ChatPrompt & RenderedChat {
    const prompt = this.write(messages, options)
    return { ...prompt, ids: atOnce(prompt.tokens()) }
  }

  /**
   * Writes the prompt that asks for the next answer; if the last message is the assistant's, its text goes on. If the
   * template refuses a system message, or writes nothing of it, its text is put before the first user message; an empty
   * one is none. If it refuses the order of roles, successive messages of one role are joined by an empty line. If it
   * knows no tools, they are described in a system message. Throws a MixtralError `TEMPLATE` for messages of the wrong
   * shape or order, and for a template that fails or exceeds its limits (a second for all renderings together, a
   * million steps for each, a few times the messages' length and a megabyte).
   */
  write(messages: readonly ChatMessage[], { tools, addGenerationPrompt = true }: RenderOptions = {}): ChatPrompt {
    const checked = withoutEmptySystem(checkMessages(messages))
    const time = new ChatBudget()
    const usesTools = tools !== undefined || checked.some((turn) => turn.role === 'tool')
    const learned = usesTools ? this.#learn(time) : undefined
    const continues = addGenerationPrompt && checked.at(-1)!.role === 'assistant'
    if (tools && continues && !learned) {
      const why = 'the chat template shows no tools, so that answers are JSON'
      throw new MixtralError('TEMPLATE', `the last message is the assistant's, which cannot go on beside tools: ${why}`)
    }
    const turns = learned ? checked.map((turn) => ownTurn(turn, learned)) : usesTools ? foldTools(checked, tools) : checked
    const program = learned ? this.#toolProgram : this.#program
    const shown = { tools: learned ? tools : undefined, addGenerationPrompt: addGenerationPrompt && !continues }
    const render = (turns: readonly Turn[]) => this.#render(program, { ...this.#input(turns, program, time), ...shown }, continues, time)
    const promptOf = ({ written, turns }: Written, folded: boolean): ChatPrompt => {
      const answers = turns.flatMap(({ role }, index) => (role === 'assistant' ? [turnOrigin(index)] : []))
      const tokens = () => this.#tokens.ids(written, new Set(answers))
      return { text: written.value, tokens, format: tools && (learned?.format ?? GENERIC), continues, folded }
    }
    if (!turns.some((turn) => turn.role === 'system')) return promptOf(joinedIfRefused(turns, render), false)
    const joined = joinTurns(turns)
    const whole = withSystem(turns, render) ?? (joined.length < turns.length ? withSystem(joined, render) : undefined)
    return promptOf(whole ?? joinedIfRefused(foldSystem(turns), render), !whole)
  }

  #input(turns: readonly Turn[], program: TemplateProgram, time: ChatBudget): TemplateInput {
    if (!this.#parts.has(program))
      this.#parts.set(
        program,
        takesParts((asParts) => program.run({ ...this.#plainInput([PROBE]), asParts }, time, true)),
      )
    return { ...this.#plainInput(turns), asParts: this.#parts.get(program)! }
  }

  #plainInput(turns: readonly Turn[]): TemplateInput {
    const { bosId, eosId } = this.#tokenizer
    const [bos, eos] = [this.#tokenizer.token(bosId).piece, this.#tokenizer.token(eosId).piece]
    return { turns, tools: undefined, addGenerationPrompt: true, asParts: false, bos, eos, specials: this.#specials }
  }

  /** How the template writes calls, found out once. */
  #learn(time: ChatBudget): LearnedFormat | undefined {
    const run = (turns: readonly Turn[], shown: Pick<TemplateInput, 'tools' | 'addGenerationPrompt'>) =>
      this.#toolProgram.run({ ...this.#input(turns, this.#toolProgram, time), ...shown }, time, true).value
    this.#learned ??= learnCallFormat(run, this.#tokenizer) ?? 'none'
    return this.#learned === 'none' ? undefined : this.#learned
  }

  #render(program: TemplateProgram, input: TemplateInput, continues: boolean, time: ChatBudget): Written {
    const written = continues ? begun(program, input, time) : program.run(input, time)
    checkQuestions(written, input.turns)
    return { written, turns: input.turns }
  }
}

function programAt(key: string, metadata: ReadonlyMap<string, GgufValue>, tokenizer: Tokenizer): TemplateProgram | undefined {
  const source = metadata.get(key)
  if (source === undefined) return undefined
  if (typeof source !== 'string') throw new MixtralError('TEMPLATE', `${key} is a ${typeof source}, expected a string`)
  if (source.trim() === '') return undefined
  return new TemplateProgram(meantTemplate(source, tokenizer), 'jinja')
}

/** Whether a template writes a question that is a list of parts, and not one that is a text. */
function takesParts(run: (asParts: boolean) => Text): boolean {
  const shows = (asParts: boolean) => {
    try {
      return shownOrigins(run(asParts)).has(turnOrigin(0))
    } catch (error) {
      if (isOverTime(error)) throw error
      return error instanceof MixtralError && error.cause instanceof WorkLimit ? 'endless' : false
    }
  }
  return shows(false) === false && shows(true) === true
}

/** Throws `TEMPLATE` for a prompt that has nothing of what the user said. */
function checkQuestions(written: Text, turns: readonly Turn[]): void {
  const shown = shownOrigins(written)
  const asked = turns.flatMap(({ role, content }, index) => (role === 'user' && content.trim() !== '' ? [turnOrigin(index)] : []))
  if (asked.length === 0 || asked.some((origin) => shown.has(origin))) return
  throw new MixtralError('TEMPLATE', "the chat template writes nothing of the user's messages, expected their text in the prompt")
}

/** The origins of which more than blanks is in a text. */
function shownOrigins({ runs, value }: Text): Set<number> {
  return new Set(runs.filter(({ start, end }) => /\S/.test(value.slice(start, end))).map(({ origin }) => origin))
}

/** System messages without a text say nothing; templates would write their frame. */
function withoutEmptySystem(turns: readonly Turn[]): readonly Turn[] {
  const kept = turns.filter(({ role, content }) => role !== 'system' || content.trim() !== '')
  return kept.length > 0 ? kept : turns
}

/** The prompt up to the end of the last message's text. */
function begun(program: TemplateProgram, input: TemplateInput, time: ChatBudget): Text {
  const last = input.turns.at(-1)!
  const origin = turnOrigin(input.turns.length - 1)
  const isBlank = last.content.trim() === ''
  // A text of blanks may be trimmed away, so that another one shows its place.
  const shown = isBlank ? { ...input, turns: [...input.turns.slice(0, -1), { ...last, content: 'x' }] } : input
  const written = program.run(shown, time)
  const run = written.runs.findLast((each) => each.origin === origin)
  if (!run) throw new MixtralError('TEMPLATE', 'the chat template leaves out the text of the last message, which should go on')
  return isBlank ? Text.concat([written.slice(0, run.start), Text.of(last.content, origin)]) : written.slice(0, run.end)
}

/** The rendered chat, unless the template refuses a system message or writes nothing of it. */
function withSystem(turns: readonly Turn[], render: (turns: readonly Turn[]) => Written): Written | undefined {
  try {
    const rendered = render(turns)
    const shown = shownOrigins(rendered.written)
    const isShown = turns.every(({ role, content }, index) => role !== 'system' || content.trim() === '' || shown.has(turnOrigin(index)))
    return isShown ? rendered : undefined
  } catch (error) {
    if (error instanceof MixtralError && error.cause instanceof TemplateRefusal) return undefined
    throw error
  }
}

/** The rendered chat; if the template refuses the roles' order, with successive turns of one role as one. */
function joinedIfRefused(turns: readonly Turn[], render: (turns: readonly Turn[]) => Written): Written {
  try {
    return render(turns)
  } catch (error) {
    if (!(error instanceof MixtralError && error.cause instanceof TemplateRefusal)) throw error
    const joined = joinTurns(turns)
    if (joined.length < turns.length) return joinedIfRefused(joined, render)
    if (turns[0]!.role !== 'assistant') throw error
    const why = "the first message is the assistant's, expected one of the user before it"
    throw new MixtralError('TEMPLATE', `${error.message}; ${why}`, { cause: error.cause })
  }
}

/** A turn with ids, and results, as the template expects them. */
function ownTurn(turn: Turn, { jsonResults }: LearnedFormat): Turn {
  const withShortId = (call: TurnCall) => ({ ...call, id: shortId(call.id) })
  const content = jsonResults && turn.role === 'tool' ? asJson(turn.content) : turn.content
  return { ...turn, content, calls: turn.calls.map(withShortId), ...(turn.answers && { answers: withShortId(turn.answers) }) }
}
