// Asks a question through nginx, and goes on with the answer whatever happens to the replica that writes it.
//
// node examples/replicas/ask.mjs [question] [address]

import { resumingStream } from './resuming.mjs'

const [question = 'KING RICHARD III:\n', address = 'http://127.0.0.1:8080'] = process.argv.slice(2)
const onResume = () => process.stderr.write('[lost, asking again]')
for await (const data of resumingStream(`${address}/v1/completions`, { prompt: question, max_tokens: -1 }, { onResume })) {
  if (data !== '[DONE]') process.stdout.write(JSON.parse(data).choices[0]?.text ?? '')
}
console.log()
