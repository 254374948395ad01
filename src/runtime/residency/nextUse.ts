// Which expert to give up: the one that will be needed last, as far as can be guessed. Layers are passed in turn, so a layer's distance is known; whether an expert is chosen when its
// layer comes is a matter of its share, a running mean of the router's probabilities. bench/policies.mjs compares this with other policies and with the optimum.

/** How much of the running mean a token replaces. */
const WEIGHT = 0.05
/** Shares are held above this: any expert may come. */
const LEAST_SHARE = 0.01

/** Moves a share, the probability that a token uses the expert, towards the mean `share` of `tokens` new tokens. */
export function blendShare(known: number, share: number, tokens: number): number {
  return share + (known - share) * (1 - WEIGHT) ** tokens
}

/**
 * Expected layers until an expert is used, counted from layer `current`, whose turn it is. share: the probability that one token uses it; tokens: how many this pass has. A pass to
 * come is taken to have one.
 */
export function layersToNextUse(layer: number, share: number, current: number, layers: number, tokens: number): number {
  const least = Math.max(LEAST_SHARE, share)
  if (layer <= current) return layer - current + layers / least
  const used = 1 - (1 - least) ** tokens
  return layer - current + ((1 - used) * layers) / least
}
