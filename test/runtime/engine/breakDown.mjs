// Run by a test in a process of its own: JSON in argv says which worker, how many threads, and when a thread breaks
// down. Prints how the call ended and what the next one wrote. Never closes the model: the process must be able to end
// all the same.

import { writeFileSync } from 'node:fs'
import { setEnvironmentData } from 'node:worker_threads'
import { MixtralModel } from '../../../dist/index.js'

const { worker, threads, after, prompt } = JSON.parse(process.argv[2])
const order = process.env.MIXTRAL_TEST_BREAKDOWN
setEnvironmentData('breakdown', order) // threads have no environment
const model = await MixtralModel.load('demo', { threads, worker: new URL(`workers/${worker}`, import.meta.url).href })
const options = { temperature: 0, maxNewTokens: 30 }
const results = []
for (const calls of after) {
  writeFileSync(order, String(calls))
  const ended = await model.generate(prompt, options).catch(({ code, message }) => ({ code, message }))
  results.push({ ended: ended.text ?? ended, next: (await model.generate(prompt, options)).text })
}
console.log(JSON.stringify(results))
