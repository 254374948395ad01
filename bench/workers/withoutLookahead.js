// The library's worker without prediction: no expert is read before its layer requests it. For bench/capacity.mjs
// --both.

import { Lookahead } from '../../dist/runtime/model/lookahead.js'

Lookahead.prototype.predict = () => {}
Lookahead.prototype.predicted = () => []

export { default } from '../../dist/runtime/engine/worker.js'
