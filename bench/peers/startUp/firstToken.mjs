// From nothing to the demo model's first token, and out.
import { MixtralModel } from '../../../dist/index.js'

const model = await MixtralModel.load('demo', { threads: 1 })
await model.generate('Once upon a time', { maxNewTokens: 1, temperature: 0 })
process.exit()
