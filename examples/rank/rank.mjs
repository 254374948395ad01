// How likely each of some answers to a question is. The question is computed once.
import { MixtralModel } from 'mixtral-wasm'

const model = await MixtralModel.load('demo')
const question = model.tokenizer.encodePrompt('[INST] What is the capital of France? [/INST]')
for (const answer of ['Paris', 'London', 'Rome', 'The capital of France is Paris.']) {
  const ids = model.tokenizer.encode(answer, { addBos: false })
  const scored = await model.score([...question, ...ids], { from: question.length })
  const sum = scored.reduce((total, { logprob }) => total + logprob, 0)
  console.log(answer, sum.toFixed(3), (sum / ids.length).toFixed(3))
}
await model.close()
