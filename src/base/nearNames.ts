// Names close to one that does not exist, for `did you mean`. Owns the distance, and what other libraries call options.

const MOST_SUGGESTIONS = 3
/**
 * Steps that all comparisons may take together: some ten thousand names of usual lengths. A list may have a million.
 */
const MOST_STEPS = 5_000_000

/**
 * The nearest candidates, at most three, nearest first; none differs from the name in more than a third of its letters.
 */
export function nearNames(name: string, candidates: Iterable<string>): string[] {
  const wanted = name.toLowerCase()
  let steps = 0
  const isComparable = (candidate: string) => {
    if (candidate === name || Math.abs(name.length - candidate.length) > Math.max(name.length, candidate.length) / 3) return false
    steps += (name.length + 1) * (candidate.length + 1)
    return steps <= MOST_STEPS
  }
  return [...new Set(candidates)]
    .filter(isComparable)
    .map((candidate) => ({ candidate, away: distance(wanted, candidate.toLowerCase()) }))
    .filter(({ candidate, away }) => away <= Math.max(name.length, candidate.length) / 3)
    .sort((a, b) => a.away - b.away || a.candidate.length - b.candidate.length)
    .slice(0, MOST_SUGGESTIONS)
    .map(({ candidate }) => candidate)
}

/** What other libraries and APIs call options of ours, in camel case. */
const otherOptions: Readonly<Record<string, string>> = {
  abortSignal: 'signal',
  chatHistory: 'messages',
  contextSize: 'contextLength',
  ctxSize: 'contextLength',
  customStopTriggers: 'stop',
  format: 'jsonSchema',
  functions: 'tools',
  history: 'messages',
  maxCompletionTokens: 'maxNewTokens',
  maxOutputTokens: 'maxNewTokens',
  maxTokens: 'maxNewTokens',
  memory: 'ram',
  nBatch: 'batchSize',
  nCtx: 'contextLength',
  nThreads: 'threads',
  numCtx: 'contextLength',
  numThread: 'threads',
  prompt: 'ids',
  responseFormat: 'jsonSchema',
  schema: 'jsonSchema',
  stopSequences: 'stop',
  stopStrings: 'stop',
  systemMessage: 'system',
  systemPrompt: 'system',
  temp: 'temperature',
  tokens: 'ids',
}

/** `max_tokens` as `maxTokens`. */
export function camelCase(name: string): string {
  // the letter may be missing: else a name of nothing but lines would be searched from each of them
  return name.replace(/_+([a-z]?)/g, (lines, letter: string) => (letter === '' ? lines : letter.toUpperCase()))
}

/** The option that is meant by a name that another library has for it; undefined if no known one is. */
export function meantOption(name: string, known: readonly string[]): string | undefined {
  const camel = camelCase(name)
  const meant = Object.hasOwn(otherOptions, camel) ? otherOptions[camel]! : camel
  return meant !== name && known.includes(meant) ? meant : undefined
}

/** `; did you mean A, B?`, or nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const near = nearNames(name, candidates)
  return near.length > 0 ? `; did you mean ${near.join(', ')}?` : ''
}

/** Edit distance: letters to insert, delete, replace, or swap with a neighbor. */
function distance(a: string, b: string): number {
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? before[j - 2]! + 1 : Infinity
      row.push(Math.min(above[j]! + 1, row[j - 1]! + 1, replaced, swapped))
    }
    before = above
    above = row
  }
  return above[b.length]!
}
