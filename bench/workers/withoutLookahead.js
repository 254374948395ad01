// The library's worker, but for one thing: nothing is read before a layer asks for it. For bench/capacity.mjs --both.

import { Lookahead } from '../../dist/runtime/model/lookahead.js'

Lookahead.prototype.look = () => {}
Lookahead.prototype.likely = () => []

export { default } from '../../dist/runtime/engine/worker.js'
