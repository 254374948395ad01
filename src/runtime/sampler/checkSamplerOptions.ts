// The check of the options of sampling, which fills in defaults and turns names of steps into places.

import { MixtralError, shown } from '../../base/errors.js'
import { checkOptions, type OptionRow } from './optionRow.js'
import type { SamplerOptions, Settings } from './samplerOptions.js'
import { samplerTable, settingNames } from './samplerTable.js'
import { stepNamed, stepNames } from './steps.js'

/** Each breaker is looked for in every token of the vocabulary; llama.cpp has four. */
const MOST_BREAKERS = 1000

export interface CheckedSamplerOptions {
  readonly settings: Settings
  /** Places in `steps`. */
  readonly order: readonly number[]
  readonly breakers: readonly string[]
}

/** The options with defaults filled in. Throws a MixtralError `OPTION` that names an unknown or impossible one. */
export function checkSamplerOptions(options: SamplerOptions): CheckedSamplerOptions {
  checkOptions(samplerTable, options)
  const settings: Record<string, number> = {}
  for (const name of settingNames) {
    const { default: usual }: OptionRow = samplerTable[name]
    settings[name] = options[name] ?? (usual as number | undefined) ?? randomSeed()
  }
  const { drySequenceBreakers: breakers = samplerTable.drySequenceBreakers.default, samplers = stepNames } = options
  return { settings: settings as Settings, order: orderOf(samplers), breakers: checkBreakers(breakers) }
}

/** A seed where none is given. */
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!
}

function orderOf(samplers: readonly string[]): number[] {
  const order = Array.from(samplers, (name) => {
    const place = stepNamed(name)
    if (place < 0) throw new MixtralError('OPTION', `samplers has ${shown(name)}, expected some of ${stepNames.join(', ')}`)
    return place
  })
  const again = order.find((place, i) => order.indexOf(place) < i)
  if (again !== undefined) throw new MixtralError('OPTION', `samplers has ${stepNames[again]} twice, expected each step once`)
  const adaptive = order.indexOf(stepNamed('adaptiveP'))
  if (adaptive >= 0 && adaptive < order.length - 1) {
    throw new MixtralError('OPTION', 'samplers has adaptiveP before other steps, expected it at the end: it draws the token')
  }
  return order
}

function checkBreakers(breakers: string | readonly string[]): readonly string[] {
  const texts = typeof breakers === 'string' ? [breakers] : breakers
  if (texts.length > MOST_BREAKERS) {
    throw new MixtralError('OPTION', `drySequenceBreakers has ${texts.length} texts, expected at most ${MOST_BREAKERS}`)
  }
  const wrong = texts.findIndex((text) => typeof text !== 'string' || text === '')
  if (wrong < 0) return texts
  throw new MixtralError('OPTION', `drySequenceBreakers has ${shown(texts[wrong])}, expected strings of at least one character`)
}
