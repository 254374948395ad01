// Values that llama-server takes in its own completion and that are none of ours: a temperature below 0, and steps of
// sampling by letters or by names that are not known. Owns what they mean, which is what they mean there.

import { stepNamed } from '../../../runtime/sampler/steps.js'

type Body = Readonly<Record<string, unknown>>

/** The steps by the letters of `--sampling-seq`. */
const LETTERS: Readonly<Record<string, string>> = {
  ...{ d: 'dry', k: 'top_k', y: 'typ_p', p: 'top_p', s: 'top_n_sigma', m: 'min_p' },
  ...{ t: 'temperature', x: 'xtc', e: 'penalties', a: 'adaptive_p' },
}

/** The body with such values as ours. What is wrong otherwise stays, to be refused by its name. */
export function leniently(body: Body): Body {
  const { temperature, samplers } = body
  const isBelow = typeof temperature === 'number' && temperature < 0
  const steps = typeof samplers === 'string' ? Array.from(samplers, (letter) => LETTERS[letter]) : samplers
  return { ...body, ...(isBelow && { temperature: 0 }), ...(Array.isArray(steps) && { samplers: known(steps) }) }
}

/** The steps that are known. Adaptive-p draws the token, so that it is the last one wherever it stands. */
function known(steps: readonly unknown[]): unknown[] {
  const found = steps.filter((step) => stepNamed(step) >= 0)
  const isLast = (step: unknown) => stepNamed(step) === stepNamed('adaptiveP')
  return [...found.filter((step) => !isLast(step)), ...found.filter(isLast)]
}
