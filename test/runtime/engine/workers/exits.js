// The real worker, but it ends when ordered to.

import { obeyOrders } from './breakdown.js'

export { default } from '../../../../dist/runtime/engine/worker.js'

obeyOrders(() => process.exit(3))
