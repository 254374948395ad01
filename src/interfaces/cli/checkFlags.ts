// The check of what a text is asked to be, before a model is loaded: a typo should not cost the reading of 28 GB.

import { checkGenerationOptions } from '../../text/generate/checkGenerationOptions.js'
import type { GenerationOptions } from '../../text/generate/generationOptions.js'

/** Throws `OPTION` and `UNSUPPORTED` for what needs no vocabulary to be seen as wrong. */
export async function checkBeforeLoading(options: GenerationOptions): Promise<void> {
  const { constraint } = checkGenerationOptions(options)
  if (!constraint) return
  const [{ compileLanguage }, { parseGbnf }] = await Promise.all([
    import('../../text/constraint/language.js'),
    import('../../text/constraint/gbnf.js'),
  ])
  if ('grammar' in constraint) parseGbnf(constraint.grammar)
  else compileLanguage(constraint)
}
