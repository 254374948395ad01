// A second sampler, as plain as its definitions: lists that are sorted in full, Math.exp, no state of its own. The
// judge of the first one; it also tells how near a decision was to going the other way, where rounding may decide. Not
// a test.

import type { Settings } from '../../../dist/runtime/sampler/samplerOptions.js'

interface Token {
  readonly id: number
  logit: number
  p: number
}

export interface PlainJob {
  readonly settings: Settings
  readonly steps: readonly string[]
  readonly history: readonly number[]
  readonly breakers: readonly (readonly number[])[]
  readonly bias: readonly (readonly [id: number, value: number])[]
  readonly allowed: ReadonlySet<number>
  readonly u: number
  readonly xtc: number
  readonly state: readonly [number, number]
}

export interface PlainChoice {
  readonly id: number
  readonly left: readonly Token[]
  readonly state: readonly [number, number]
  /** Relative distance of the closest comparison from equality. */
  readonly margin: number
}

export function choosePlainly(logits: ArrayLike<number>, job: PlainJob): PlainChoice | undefined {
  const { settings, u } = job
  let margin = Infinity
  /** a >= b, and how clearly. */
  const atLeast = (a: number, b: number) => {
    if (Number.isFinite(a) && Number.isFinite(b)) margin = Math.min(margin, Math.abs(a - b) / Math.max(1e-3, Math.abs(b)))
    return a >= b
  }
  const bias = new Map(job.bias)
  let tokens: Token[] = Array.from(logits, (logit, id) => ({ id, logit: logit + (bias.get(id) ?? 0), p: 0 })).filter(
    ({ id, logit }) => job.allowed.has(id) && logit > -Infinity,
  )
  if (tokens.length === 0) return undefined
  let logSum = 0
  /** -ln p, which is finite also where p is 0 in float64: tokens that far away still have an order. */
  const information = ({ logit }: Token) => logSum - (logit - tokens[0]!.logit)
  const softmax = () => {
    tokens.sort((a, b) => b.logit - a.logit || a.id - b.id)
    const weights = tokens.map(({ logit }) => Math.exp(logit - tokens[0]!.logit))
    const sum = weights.reduce((a, b) => a + b)
    for (const [i, token] of tokens.entries()) token.p = weights[i]! / sum
    logSum = Math.log(sum)
    return -tokens.reduce((total, { p }) => total + (p > 0 ? p * Math.log(p) : 0), 0)
  }
  const keepCount = (count: number) => {
    tokens = tokens.slice(0, Math.max(1, count))
  }
  const steps: Record<string, () => void> = {
    penalties() {
      const { penaltyLastN, repetitionPenalty: r, frequencyPenalty, presencePenalty } = settings
      const recent = penaltyLastN < 0 ? job.history : penaltyLastN === 0 ? [] : job.history.slice(-penaltyLastN)
      for (const token of tokens) {
        const count = recent.filter((id) => id === token.id).length
        if (count === 0) continue
        token.logit = token.logit <= 0 ? token.logit * r : token.logit / r
        token.logit -= count * frequencyPenalty + presencePenalty
      }
    },
    dry() {
      const amounts = plainDry(job.history, settings, job.breakers)
      for (const token of tokens) token.logit -= amounts.get(token.id) ?? 0
    },
    topNSigma() {
      if (settings.topNSigma <= 0 || tokens.length < 2) return
      const mean = tokens.reduce((sum, { logit }) => sum + logit, 0) / tokens.length
      const deviation = Math.sqrt(tokens.reduce((sum, { logit }) => sum + (logit - mean) ** 2, 0) / tokens.length)
      const top = Math.max(...tokens.map(({ logit }) => logit))
      tokens = tokens.filter(({ logit }) => logit === top || atLeast(logit, top - settings.topNSigma * deviation))
    },
    topK() {
      softmax()
      if (settings.topK > 0) keepCount(settings.topK)
    },
    typical() {
      if (settings.typicalP >= 1) return
      const entropy = softmax()
      const strange = (token: Token) => Math.abs(information(token) - entropy)
      const order = tokens.toSorted((a, b) => strange(a) - strange(b) || b.logit - a.logit || a.id - b.id)
      for (let i = 1; i < order.length; i++)
        if (order[i]!.logit !== order[i - 1]!.logit) atLeast(strange(order[i]!), strange(order[i - 1]!))
      let sum = 0
      let kept = 0
      for (const { p } of order) {
        sum += p
        kept++
        if (!atLeast(settings.typicalP, sum) && kept >= settings.minKeep) break
      }
      tokens = order.slice(0, kept)
    },
    topP() {
      if (settings.topP >= 1) return
      softmax()
      let sum = 0
      let kept = 0
      for (const { p } of tokens) {
        sum += p
        kept++
        if (atLeast(sum, settings.topP) && kept >= settings.minKeep) break
      }
      keepCount(kept)
    },
    minP() {
      softmax()
      if (settings.minP <= 0) return
      const kept = tokens.filter(({ p }, i) => i === 0 || atLeast(p, settings.minP * tokens[0]!.p)).length
      keepCount(Math.max(kept, settings.minKeep))
    },
    xtc() {
      softmax()
      const { xtcProbability, xtcThreshold, minKeep } = settings
      if (xtcProbability <= 0 || xtcThreshold > 0.5 || tokens.length < 2 || job.xtc > xtcProbability) return
      const last = tokens.filter(({ p }) => atLeast(p, xtcThreshold)).length - 1
      if (last > 0 && tokens.length - last >= minKeep) tokens = tokens.slice(last)
    },
    temperature() {
      const entropy = softmax()
      const { temperature, dynatempRange, dynatempExponent } = settings
      let now = temperature
      if (dynatempRange > 0) {
        if (tokens.length < 2) return
        const low = Math.max(0, temperature - dynatempRange)
        now = low + (temperature + dynatempRange - low) * Math.max(0, entropy / Math.log(tokens.length)) ** dynatempExponent
      }
      if (now === 0) keepCount(1)
      else for (const token of tokens) token.logit /= now
    },
  }
  for (const step of settings.mirostat > 0 ? ['temperature'] : job.steps) if (step !== 'adaptiveP') steps[step]!()

  softmax()
  let state = job.state
  const drawn = () => {
    softmax()
    let sum = 0
    for (const token of tokens) {
      sum += token.p
      if (!atLeast(u, sum)) return token
    }
    return tokens.at(-1)!
  }
  const surprised = (token: Token) => {
    state = [state[0] - settings.mirostatEta * (-Math.log2(token.p) - settings.mirostatTau), 0]
    return token
  }
  if (settings.mirostat === 1) {
    let tb = 0
    let tt = 0
    for (let i = 0; i < Math.min(100, tokens.length) - 1; i++) {
      const t = Math.log((i + 2) / (i + 1))
      tb += t * (tokens[i]!.logit - tokens[i + 1]!.logit) // ln of the ratio of their probabilities
      tt += t * t
    }
    const s = tb / tt
    const k = (((s - 1) * 2 ** state[0]) / (1 - logits.length ** (1 - s))) ** (1 / s)
    if (tokens.length > 1) atLeast(k, Math.round(k))
    keepCount(tokens.length > 1 ? Math.floor(k) : 1)
    return { id: surprised(drawn()).id, left: tokens, state, margin }
  }
  if (settings.mirostat === 2) {
    const beyond = tokens.findIndex(({ p }) => !atLeast(state[0], -Math.log2(p)))
    if (beyond >= 0) keepCount(beyond)
    return { id: surprised(drawn()).id, left: tokens, state, margin }
  }
  if (job.steps.includes('adaptiveP') && settings.adaptiveTarget >= 0) {
    const target = Math.min(1, Math.max(0, 2 * settings.adaptiveTarget - state[0] / state[1]))
    const before = new Map(tokens.map(({ id, p }) => [id, p]))
    const distances = tokens.map(({ p }) => Math.abs(p - target) / 0.3)
    for (const [i, distance] of distances.entries()) tokens[i]!.logit = 5 - (10 * distance * distance) / (1 + distance)
    const sorted = tokens.toSorted((a, b) => b.logit - a.logit)
    for (let i = 1; i < sorted.length; i++) {
      if (before.get(sorted[i]!.id) !== before.get(sorted[i - 1]!.id)) atLeast(sorted[i]!.logit, sorted[i - 1]!.logit)
    }
    const { id } = drawn()
    const { adaptiveDecay: decay } = settings
    return { id, left: tokens, state: [before.get(id)! + decay * state[0], 1 + decay * state[1]], margin }
  }
  return { id: drawn().id, left: tokens, state, margin }
}

/** DRY by trying every earlier place and every length. */
function plainDry(history: readonly number[], settings: Settings, breakers: readonly (readonly number[])[]): Map<number, number> {
  const { dryMultiplier, dryBase, dryAllowedLength, dryPenaltyLastN } = settings
  const recent = dryPenaltyLastN < 0 ? history : history.slice(Math.max(0, history.length - dryPenaltyLastN))
  const amounts = new Map<number, number>()
  if (dryMultiplier === 0 || recent.length <= dryAllowedLength) return amounts
  // the latest first token of a breaker that stands there in full; of several, the longest
  let limit = recent.length
  for (let at = 0; at < recent.length; at++) {
    const there = breakers.filter((ids) => ids.every((id, i) => recent[at + i] === id))
    if (there.length > 0) limit = recent.length - at - Math.max(...there.map((ids) => ids.length))
  }
  const single = new Set(breakers.filter((ids) => ids.length === 1).map(([id]) => id))
  for (let next = 1; next < recent.length; next++) {
    let length = 0
    while (length < next && recent[next - 1 - length] === recent[recent.length - 1 - length]) length++
    length = Math.min(length, limit)
    if (length < dryAllowedLength || limit < dryAllowedLength || single.has(recent[next]!)) continue
    const amount = dryMultiplier * dryBase ** (length - dryAllowedLength)
    amounts.set(recent[next]!, Math.max(amount, amounts.get(recent[next]!) ?? 0))
  }
  return amounts
}
