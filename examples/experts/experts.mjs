// Which experts a prompt uses in each layer, how often, and those of each of its tokens in the first layer.
import { MixtralModel } from 'mixtral-wasm'

const model = await MixtralModel.load('demo')
const routing = await model.routing(model.tokenizer.encodePrompt('Once upon a time, there was a fox.'))
for (let layer = 0; layer < model.config.layers; layer++) {
  const counts = new Array(model.config.experts).fill(0)
  for (const token of routing) for (const expert of token.layers[layer].experts) counts[expert]++
  console.log(`layer ${layer}: ${counts.join(' ')}`)
}
for (const { id, layers } of routing) console.log(model.tokenizer.token(id).piece, layers[0].experts.join())
await model.close()
