// How far logits are from the true ones, position by position.

export interface Divergence {
  readonly meanKL: number // of the softmax of `found` from that of `truth`, in nats
  readonly trimmedMeanKL: number // without the highest 5 % of positions, where routing flips between two nearly tied experts
  readonly top1: number // share of positions whose highest logit is the same token's
}

/** @param truth and found: (tokens, vocab) */
export function divergence(truth: ArrayLike<number>, found: ArrayLike<number>, vocab: number): Divergence {
  const positions = found.length / vocab
  const kl: number[] = []
  let same = 0
  for (let position = 0; position < positions; position++) {
    const [p, q] = [truth, found].map((logits) => logSoftmax(Array.from({ length: vocab }, (_, i) => logits[position * vocab + i]!)))
    kl.push(p!.reduce((sum, logP, i) => sum + Math.exp(logP) * (logP - q![i]!), 0))
    same += Number(p!.indexOf(Math.max(...p!)) === q!.indexOf(Math.max(...q!)))
  }
  const trimmed = kl.toSorted((a, b) => a - b).slice(0, Math.ceil(positions * 0.95))
  return { meanKL: mean(kl), trimmedMeanKL: mean(trimmed), top1: same / positions }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function logSoftmax(logits: readonly number[]): number[] {
  const largest = Math.max(...logits)
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0))
  return logits.map((logit) => logit - largest - total)
}
