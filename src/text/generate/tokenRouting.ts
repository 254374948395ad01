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

/** The experts of all tokens of a text: each array has those of the first token first. */
export interface RoutingTable extends FullRouting {
  readonly tokens: readonly number[]
  /** Entries of a token in `ids` and `weights`: layers times the experts that it has in each. */
  readonly width: number
}

export async function routingTable(engine: Engine, ids: TokenIds, options: RoutingOptions): Promise<RoutingTable> {
  const own = checkForwardOptions(options, engine, ['salt'])
  checkText('salt', own.salt ?? '')
  const tokens = engine.checked(ids)
  const { salt = '', ...call } = own
  const { layers, experts } = engine.config
  const width = layers * (call.expertsPerToken ?? engine.config.expertsPerToken)
  const table = {
    ids: new Uint16Array(tokens.length * width),
    weights: new Float32Array(tokens.length * width),
    logits: new Float32Array(tokens.length * layers * experts),
  }
  await engine.finish({ ids: tokens, from: 0, salt, routingTable: table }, call)
  return { tokens, width, ...table }
}

export async function routeTokens(engine: Engine, ids: TokenIds, options: RoutingOptions): Promise<TokenRouting[]> {
  const { tokens, width, ...table } = await routingTable(engine, ids, options)
  const { layers, experts } = engine.config
  return tokens.map((id, place) => {
    let parts: LayerRouting[] | undefined
    return {
      id,
      ids: table.ids.subarray(place * width, (place + 1) * width),
      weights: table.weights.subarray(place * width, (place + 1) * width),
      logits: table.logits.subarray(place * layers * experts, (place + 1) * layers * experts),
      get layers() {
        parts ??= layersOf(this, layers) // not before they are read
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
