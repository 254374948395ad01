// A row for each option of a generation: those of TextOptions here, then the sampler's. Command-line flags, the names
// in Ollama's files, the checks and docs/sampling.md derive from it.

import { MOST_TOP } from '../../runtime/sampler/logProbabilities.js'
import type { OptionRow, OptionTable } from '../../runtime/sampler/optionRow.js'
import { samplerTable } from '../../runtime/sampler/samplerTable.js'
import type { TextOptions } from './generationOptions.js'

const textTable = {
  maxNewTokens: {
    kind: 'whole',
    unset: 'until the context is full',
    least: 1,
    help: 'most tokens to generate',
    flag: '-n, --max-tokens <n>',
    ollama: 'num_predict',
    openai: 'max_tokens',
    llama: 'n_predict',
  },
  stop: {
    kind: 'texts',
    unset: 'none',
    help: 'end before this text; may be given several times',
    flag: '--stop <text>',
    ollama: 'stop',
    openai: 'stop',
    llama: 'stop',
  },
  stopIds: {
    kind: 'tokens',
    unset: 'none',
    help: "end at one of these tokens too, which are left out like the model's own end tokens; comma-separated ids",
    flag: '--stop-ids <ids>',
    openai: 'stop_token_ids',
  },
  minTokens: {
    kind: 'whole',
    default: 0,
    least: 0,
    help: 'do not end at a token before there are this many',
    flag: '--min-tokens <n>',
    openai: 'min_tokens',
  },
  ignoreEos: {
    kind: 'switch',
    default: false,
    help: "never draw one of the model's end tokens",
    flag: '--ignore-eos',
    openai: 'ignore_eos',
    llama: 'ignore_eos',
  },
  bannedWords: {
    kind: 'texts',
    unset: 'none',
    help: 'never write this text, upper and lower case as given; may be given several times',
    flag: '--ban <text>',
    openai: 'bad_words',
  },
  logitBias: {
    kind: 'bias',
    unset: 'none',
    help: 'add to the logit of a token, given by id or text, such as 13=-2; false forbids it; may be given several times',
    flag: '--logit-bias <token=x>',
    openai: 'logit_bias',
    llama: 'logit_bias',
  },
  grammar: {
    kind: 'grammar',
    unset: 'none',
    help: 'write only what this GBNF grammar allows; on the command line, its file',
    flag: '--grammar <file>',
    llama: 'grammar',
  },
  jsonSchema: {
    kind: 'schema',
    unset: 'none',
    help: 'write only JSON that this schema allows; on the command line, its file',
    flag: '--json-schema <file>',
    llama: 'json_schema',
  },
  regex: {
    kind: 'text',
    unset: 'none',
    help: 'write only what this regular expression matches as a whole',
    flag: '--regex <pattern>',
  },
  logprobs: {
    kind: 'whole',
    unset: 'none are reported',
    least: 0,
    most: MOST_TOP,
    help: 'report the log-probability of each token, and of this many of the most likely ones in its place',
    flag: '--logprobs <n>',
    openai: 'top_logprobs',
    llama: 'n_probs',
  },
  postSampling: {
    kind: 'switch',
    default: false,
    help: 'report log-probabilities after all samplers, not those of the model',
    flag: '--post-sampling',
    llama: 'post_sampling_probs',
  },
  expertsPerToken: {
    kind: 'whole',
    unset: "the model's own number",
    least: 1,
    help: 'experts of each token in a layer, 1 to all',
    flag: '--experts <n>',
    ollama: 'experts_per_token',
    openai: 'experts_per_token',
    llama: 'experts_per_token',
  },
} as const satisfies Record<keyof TextOptions, OptionRow>

export const generationTable: OptionTable = { ...textTable, ...samplerTable }
