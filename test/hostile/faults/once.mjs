// A process that does one job with faults injected that kill it: `once.mjs JOB ORDERS`.

import { faultOf } from '../watch.mjs'
import { order } from './inject.mjs'
import { jobs } from './jobs.mjs'

const [name, orders] = process.argv.slice(2)
order(JSON.parse(orders))
try {
  await jobs.find((job) => job.name === name).run(process.env.HOSTILE_FOLDER)
} catch (error) {
  const fault = faultOf(error)
  if (fault) process.send(fault)
}
process.exit()
