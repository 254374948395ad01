// The experts of given tokens, of all layers: what the router makes of a prompt. The engine has them of every step;
// here they get a shape in which no index has to be computed.

import type { CallOptions } from '../../runtime/engine/callOptions.js'
import type { Engine } from '../../runtime/engine/engine.js'
import type { Routing } from '../../runtime/model/routes.js'

/** The experts that one layer used for a token. */
export interface LayerRouting {
  /** Best first. */
  readonly experts: Uint16Array
  /** What their outputs are multiplied by; together 1. */
  readonly weights: Float32Array
}

/** The experts of a token. */
export interface TokenRouting extends Routing {
  readonly id: number
  /** Those of each layer: views of `ids` and `weights`. */
  readonly layers: readonly LayerRouting[]
}

/** Runs tokens that are checked already. */
export async function routeTokens(engine: Engine, tokens: readonly number[], options: CallOptions): Promise<TokenRouting[]> {
  const { layers, expertsPerToken: used } = engine.config
  const all: TokenRouting[] = []
  const routed = ({ ids, weights }: Routing, place: number) => {
    const ofLayer = (_: unknown, layer: number) => {
      const at = [layer * used, (layer + 1) * used] as const
      return { experts: ids.subarray(...at), weights: weights.subarray(...at) }
    }
    all.push({ id: tokens[place]!, ids, weights, layers: Array.from({ length: layers }, ofLayer) })
  }
  await engine.finish({ ids: tokens, from: 0, read: () => {}, routed }, options)
  return all
}
