// When an expert will be used next, as far as that can be known: the rule by which experts are evicted. Pure.

/** A step of more rows than this needs nearly every expert. */
export const FEW_ROWS = 4
/** How much of an expert's share one new token replaces. */
const SHARE_WEIGHT = 0.05
/** Shares count as at least this: any expert may be chosen. */
const LEAST_SHARE = 0.01

/** Moves a share, the probability that a token uses an expert, towards the mean `share` of `rows` new tokens. */
export function blendShare(known: number, share: number, rows: number): number {
  return share + (known - share) * (1 - SHARE_WEIGHT) ** rows
}

/**
 * Expected number of layers until an expert of `layer` is used, counted from the layer `current`: its layer's distance
 * is known, its share says how often a row uses it.
 *
 * @param rows of this step
 * @param nextRows of each step after it
 */
export function layersToNextUse(layer: number, share: number, current: number, layers: number, rows: number, nextRows = 1): number {
  const least = Math.max(LEAST_SHARE, share)
  const usedBy = (rows: number) => 1 - (1 - least) ** rows
  const later = layers / (nextRows === 1 ? least : usedBy(nextRows))
  return layer - current + (layer <= current ? later : (1 - usedBy(rows)) * later)
}
