// The real worker, but it uses up its heap when ordered to.

import { obeyOrders } from './breakdown.js'

export { default } from '../../../../dist/runtime/engine/worker.js'

obeyOrders(() => {
  const hoard = []
  for (;;) hoard.push(new Array(10_000).fill(hoard.length + 0.5))
})
