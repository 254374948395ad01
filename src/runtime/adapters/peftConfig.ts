// adapter_config.json of a PEFT folder: the scale of each module's change. Owns its keys and defaults, the patterns by
// which modules have their own rank and alpha, and the kinds of adapters that are refused.

import path from 'node:path'
import { quoted, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { checkpointError, unsupported } from '../../format/tensors/checkpointError.js'
import { JsonObject } from '../../format/tensors/jsonObject.js'
import { ModulePattern } from './modulePattern.js'
import { type FusedOrder, fusedOrders } from './peftExperts.js'

/** Keys whose value, if it is one, means that the change is not a plain low-rank one, or not the only one. */
const unapplied: Readonly<Record<string, string>> = {
  use_dora: 'DoRA scales the rows of the weights, too',
  modules_to_save: 'modules that are saved as a whole replace those of the model',
  lora_bias: 'factors with a bias',
  fan_in_fan_out: 'weights that are stored transposed',
  use_qalora: 'QALoRA pools the inputs',
  use_bdlora: 'BD-LoRA has factors of blocks',
  layer_replication: 'layers that stand for several',
  trainable_token_indices: 'embeddings of its own',
  alora_invocation_tokens: 'it begins at a text',
  arrow_config: 'it chooses among adapters',
  megatron_config: 'layers that are split over machines',
  monteclora_config: 'factors that are drawn anew',
}

/** Switches that are known, and mean something here or nothing. Another one that is on is a kind of adapter. */
const knownSwitches = ['use_rslora']

/** Ways to begin a training that change the weights of the model: the adapter fits those, not the original ones. */
const changingBase = /^(pissa|olora|corda|loftq|lora_?ga)/i

export class PeftConfig {
  readonly file: string
  /** The name or path of the model that was trained. */
  readonly baseModel: string | undefined
  /** The order of B where a tensor has the factors of all experts; undefined where nothing tells it. */
  readonly fusedOrder: FusedOrder | undefined
  readonly #rank: number
  readonly #alpha: number
  readonly #rankStabilized: boolean
  readonly #ranks: Patterns
  readonly #alphas: Patterns

  private constructor(config: JsonObject) {
    this.file = config.file
    const kind = config.string('peft_type') ?? 'LORA'
    if (kind !== 'LORA') throw unsupported(config.file, `${quoted(kind)}, expected "LORA"`, 'key "peft_type"')
    for (const [key, why] of Object.entries(unapplied)) {
      if (isSet(config.value(key))) throw unsupported(config.file, `${shown(config.value(key))}, expected none: ${why}`, `key "${key}"`)
    }
    const other = config.keys.find((key) => key.startsWith('use_') && !knownSwitches.includes(key) && isSet(config.value(key)))
    if (other !== undefined) {
      throw unsupported(
        config.file,
        `${shown(config.value(other))}, expected none: a kind of adapter that is not known here`,
        `key ${quoted(other)}`,
      )
    }
    const bias = config.string('bias') ?? 'none'
    if (bias !== 'none') throw unsupported(config.file, `${quoted(bias)}, expected "none"`, 'key "bias"')
    const begun = config.value('init_lora_weights')
    if (typeof begun === 'string' && changingBase.test(begun)) {
      throw unsupported(
        config.file,
        `${quoted(begun)}, which changes the weights of the model: convert it in PEFT`,
        'key "init_lora_weights"',
      )
    }
    this.baseModel = config.string('base_model_name_or_path')
    this.fusedOrder = fusedOrderOf(config)
    this.#rank = rankOf(config, 'r') ?? 8
    this.#alpha = alphaOf(config, 'lora_alpha') ?? 8
    this.#rankStabilized = config.boolean('use_rslora') ?? false
    this.#ranks = new Patterns(config, 'rank_pattern', rankOf)
    this.#alphas = new Patterns(config, 'alpha_pattern', alphaOf)
  }

  /** Throws `IO`; `CHECKPOINT` for a malformed file; `UNSUPPORTED`, by name, for what is not applied here. */
  static async read(folder: string): Promise<PeftConfig> {
    return new PeftConfig(await JsonObject.read(path.join(folder, 'adapter_config.json'), limits.config.most))
  }

  /** The same of a text. `file` is for messages. */
  static parse(text: string, file: string): PeftConfig {
    return new PeftConfig(JsonObject.parse(text, file))
  }

  /** The rank of a module, by its name in the model or by those that it also has. */
  rank(...names: readonly string[]): number {
    return this.#ranks.of(names) ?? this.#rank
  }

  /** By what the product of a module's factors is multiplied. */
  scale(...names: readonly string[]): number {
    const rank = this.rank(...names)
    const alpha = this.#alphas.of(names) ?? this.#alpha
    return alpha / (this.#rankStabilized ? Math.sqrt(rank) : rank)
  }
}

/** Unsloth has had two orders; since it has PEFT's, in September 2026, it says which. */
function fusedOrderOf(config: JsonObject): FusedOrder | undefined {
  const key = 'lora_B_layout'
  const told = config.string(key)
  const known = fusedOrders.find((order) => order === told)
  if (told !== undefined && !known) throw unsupported(config.file, `${quoted(told)}, expected ${fusedOrders.join(' or ')}`, `key "${key}"`)
  return known ?? (isSet(config.object('auto_mapping')?.value('unsloth_fixed')) ? undefined : 'rank_major')
}

const isSet = (value: unknown) => value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0)

function rankOf(config: JsonObject, key: string): number | undefined {
  return config.integer(key, 1, limits.adapterRank.most)
}

/** An alpha of 0 would be an adapter that does nothing, and stands for another scale in GGUF files. */
function alphaOf(config: JsonObject, key: string): number | undefined {
  const alpha = config.float32(key)
  return alpha === 0 ? config.refuse(key, 'a number other than 0') : alpha
}

interface PatternValue {
  readonly order: number
  readonly value: number
}

/**
 * Values by patterns of modules. PEFT takes the first pattern that matches the end of a module's name, from a dot on,
 * or all of it behind `^`. Patterns are regular expressions; most are plain names, of which there may be many.
 */
class Patterns {
  readonly #ends = new Map<string, PatternValue>()
  readonly #wholes = new Map<string, PatternValue>()
  readonly #others: (PatternValue & { readonly pattern: ModulePattern })[] = []
  /** By name: a module is asked for more than once. */
  readonly #found = new Map<string, PatternValue | undefined>()

  constructor(config: JsonObject, key: string, read: (config: JsonObject, key: string) => number | undefined) {
    const patterns = config.object(key)
    const { most } = limits.adapterPatterns
    let length = 0
    for (const [order, pattern] of (patterns?.keys ?? []).entries()) {
      const [, whole, name] = /^(\^?)((?:\w|\.|\\\.)+)\$?$/.exec(pattern) ?? []
      if (name === undefined) length += pattern.length
      if (length > most) throw unsupported(config.file, `regular expressions of more than ${most} characters`, `key "${key}"`)
      const other = name === undefined && ModulePattern.read(pattern)
      if (other === undefined) {
        const expected = 'the name of a module or its end, or a simple regular expression'
        throw unsupported(config.file, `the pattern ${quoted(pattern)}, expected ${expected}`, `key "${key}"`)
      }
      const value = read(patterns!, pattern)
      if (value === undefined) throw checkpointError(config.file, `no value for ${quoted(pattern)}`, `key "${key}"`)
      if (other) this.#others.push({ pattern: other, order, value })
      else {
        const names = whole === '^' ? this.#wholes : this.#ends
        const plain = name!.replaceAll('\\.', '.')
        if (!names.has(plain)) names.set(plain, { order, value })
      }
    }
  }

  of(names: readonly string[]): number | undefined {
    return firstOf(names.map((name) => this.#ofName(name)))?.value
  }

  #ofName(name: string): PatternValue | undefined {
    if (!this.#found.has(name)) {
      const ends = [...name.matchAll(/^|\./g)].map(({ 0: dot, index }) => this.#ends.get(name.slice(index + dot.length)))
      const others = this.#others.filter(({ pattern }) => pattern.matches(name))
      this.#found.set(name, firstOf([this.#wholes.get(name), ...ends, ...others]))
    }
    return this.#found.get(name)
  }
}

function firstOf(values: readonly (PatternValue | undefined)[]): PatternValue | undefined {
  return values.filter((one) => one !== undefined).sort((a, b) => a.order - b.order)[0]
}
