// What a trace of routing says: how often neighboring tokens share experts, how uneven experts are, how well the next
// layers' choices are predicted. Traces: routing.mjs.

/** The experts chosen by the logits of one token, best first. */
export function chosen(logits, token, experts, used) {
  const row = logits.slice(token * experts, (token + 1) * experts)
  return [...row.keys()].sort((a, b) => row[b] - row[a] || a - b).slice(0, used)
}

/**
 * A table in text: per layer the first choice repeated by the next token, either of both choices repeated, the largest
 * and least share of an expert, and predictions that were right.
 */
export function repetitions({ tokens, layers, experts, used, logits, predictions }) {
  const percent = (value) => `${(value * 100).toFixed(1)} %`.padStart(8)
  const lines = ['layer    first   either  largest    least   predicted 1, 2, .. layers ahead']
  const sums = []
  for (let layer = 0; layer < layers; layer++) {
    const picks = Array.from({ length: tokens }, (_, t) => chosen(logits[layer], t, experts, used))
    const pairs = tokens - 1
    const first = picks.slice(1).filter((pick, t) => pick[0] === picks[t][0]).length / pairs
    const either = picks.slice(1).filter((pick, t) => pick.some((expert) => picks[t].includes(expert))).length / pairs
    const counts = Array.from({ length: experts }, (_, e) => picks.flat().filter((expert) => expert === e).length / (tokens * used))
    const right = Array.from({ length: 4 }, (_, k) => {
      const prediction = predictions[layer - 1 - k]?.[k]
      if (!prediction) return Number.NaN
      return (
        picks.reduce((sum, pick, t) => sum + pick.filter((e) => chosen(prediction, t, experts, used).includes(e)).length, 0) /
        (tokens * used)
      )
    })
    const row = [first, either, Math.max(...counts), Math.min(...counts), ...right]
    sums.push(row)
    lines.push(String(layer).padStart(5) + row.map((value) => (Number.isNaN(value) ? ''.padStart(8) : percent(value))).join(' '))
  }
  const mean = sums[0].map((_, i) => {
    const known = sums.map((row) => row[i]).filter((value) => !Number.isNaN(value))
    return known.reduce((a, b) => a + b, 0) / known.length
  })
  lines.push(` mean${mean.map(percent).join(' ')}`)
  return `${lines.join('\n')}\n`
}
