// Run by a test in a process of its own: JSON in argv says which worker, how many threads, when a thread breaks down,
// and how many calls run together. Prints how each ended and what the next one wrote. Never closes the model: the
// process must be able to end all the same.

import { writeFileSync } from 'node:fs'
import { setEnvironmentData } from 'node:worker_threads'
import { MixtralModel } from '../../../dist/index.js'

const { worker, threads, after, prompt, together = 1 } = JSON.parse(process.argv[2])
const order = process.env.MIXTRAL_TEST_BREAKDOWN
setEnvironmentData('breakdown', order) // threads have no environment
const model = await MixtralModel.load('demo', { threads, worker: new URL(`workers/${worker}`, import.meta.url).href })
const options = { temperature: 0, maxNewTokens: 30 }
const results = []
for (const operations of after) {
  writeFileSync(order, String(operations))
  const calls = Array.from({ length: together }, () => model.generate(prompt, options))
  const settled = await Promise.all(calls.map((call) => call.catch(({ code, message }) => ({ code, message }))))
  const ended = settled.map((result) => result.text ?? result)
  results.push({ ended: together === 1 ? ended[0] : ended, next: (await model.generate(prompt, options)).text })
}
console.log(JSON.stringify(results))
