// The real worker, but it throws when ordered to.

import { obeyOrders } from './breakdown.js'

export { default } from '../../../../dist/runtime/engine/worker.js'

obeyOrders(() => {
  throw new TypeError('a bug in a worker')
})
