// The experts of given tokens, of all layers: what the routers make of a prompt. The engine has them of every step;
// here they get a shape in which no index has to be computed.

import { checkText } from '../../base/errors.js'
import { checkForwardOptions, type ForwardOptions, type TokenIds } from '../../runtime/engine/callArguments.js'
import type { Engine } from '../../runtime/engine/engine.js'
import type { FullRouting } from '../../runtime/model/routes.js'

export interface RoutingOptions extends ForwardOptions {
  /** The KV cache is shared with calls of the same salt only. Default: none. */
  readonly salt?: string
}

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

export async function routeTokens(engine: Engine, ids: TokenIds, options: RoutingOptions): Promise<TokenRouting[]> {
  const own = checkForwardOptions(options, engine, ['salt'])
  checkText('salt', own.salt ?? '')
  const tokens = engine.checked(ids)
  const { salt = '', ...call } = own
  const { layers, experts } = engine.config
  const width = layers * (call.expertsPerToken ?? engine.config.expertsPerToken)
  const routingTable = {
    ids: new Uint16Array(tokens.length * width),
    weights: new Float32Array(tokens.length * width),
    logits: new Float32Array(tokens.length * layers * experts),
  }
  await engine.finish({ ids: tokens, from: 0, salt, hidden: 'unread', routingTable }, call)
  return tokens.map((id, place) => {
    let parts: LayerRouting[] | undefined
    return {
      id,
      ids: routingTable.ids.subarray(place * width, (place + 1) * width),
      weights: routingTable.weights.subarray(place * width, (place + 1) * width),
      logits: routingTable.logits.subarray(place * layers * experts, (place + 1) * layers * experts),
      get layers() {
        parts ??= layersOf(this, layers) // not before they are read: counting does without
        return parts
      },
    }
  })
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
