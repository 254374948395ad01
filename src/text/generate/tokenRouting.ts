// The experts of given tokens, of all layers: what the routers make of a prompt. The engine has them of every step;
// here they get a shape in which no index has to be computed.

import type { ForwardOptions } from '../../runtime/engine/callArguments.js'
import type { Engine } from '../../runtime/engine/engine.js'
import type { FullRouting } from '../../runtime/model/routes.js'

/** What one layer did with a token. */
export interface LayerRouting {
  /** The experts that were used, best first. */
  readonly experts: Uint16Array
  /** What their outputs are multiplied by; together 1. */
  readonly weights: Float32Array
  /** (experts): the router's logits. */
  readonly logits: Float32Array
}

/** The experts of a token. */
export interface TokenRouting extends FullRouting {
  readonly id: number
  /** Those of each layer: views of `ids`, `weights` and `logits`. */
  readonly layers: readonly LayerRouting[]
}

/** Runs tokens that are checked already. */
export async function routeTokens(engine: Engine, tokens: readonly number[], options: ForwardOptions): Promise<TokenRouting[]> {
  const all: TokenRouting[] = []
  await eachRouting(engine, tokens, options, (routing, place) => {
    all.push({ id: tokens[place]!, ...routing, layers: layersOf(routing, engine.config.layers) })
  })
  return all
}

/** Calls `each` with the routing of each token in turn. All tokens are run; no logits of theirs are computed. */
async function eachRouting(
  engine: Engine,
  tokens: readonly number[],
  options: ForwardOptions,
  each: (routing: FullRouting, place: number) => void,
): Promise<void> {
  await engine.finish({ ids: tokens, from: 0, hidden: () => {}, routed: each }, options)
}

function layersOf({ ids, weights, logits }: FullRouting, layers: number): LayerRouting[] {
  const part = <T extends Uint16Array | Float32Array>(all: T, layer: number) => {
    const width = all.length / layers
    return all.subarray(layer * width, (layer + 1) * width) as T
  }
  return Array.from({ length: layers }, (_, layer) => ({
    experts: part(ids, layer),
    weights: part(weights, layer),
    logits: part(logits, layer),
  }))
}
