// Run by tests in a process of its own, with MIXTRAL_KERNELS in the environment: loads each model of the JSON in argv
// (path, tokens, options) and prints which kernels ran, the hashes of logits and of an embedding, and a text.

import { createHash } from 'node:crypto'
import { MixtralModel } from '../../../dist/index.js'

const runs = []
for (const { path, tokens, options, prompt } of JSON.parse(process.argv[2])) {
  const model = await MixtralModel.load(path, options)
  const logits = await model.logits(tokens)
  const { text } = await model.generate(prompt, { seed: 7, maxNewTokens: 12 })
  const { vector } = await model.embed(tokens)
  const [hash, embedding] = [logits, vector].map((values) => createHash('sha256').update(values).digest('hex'))
  runs.push({ kernels: model.kernels, hash, embedding, text })
  await model.close()
}
console.log(JSON.stringify(runs))
