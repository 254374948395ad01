// node bench/routing.mjs MODEL [OUT.json] [--tokens N] [--text FILE] [--ram BYTES]
// Records how a model routes: for every layer and token the router's logits, and what the routers of the next layers
// say of the same residual, from which the runtime predicts. Prints how skewed and how steady the choices are,
// as table 5 of Mixtral of Experts has it. The tokens are the meaningless ones of `mixtral bench`, or those of a text.

import { readFileSync, writeFileSync } from 'node:fs'
import { MixtralModel } from '../dist/index.js'
import { matrixSource } from '../dist/runtime/weights/matrixSource.js'
import { mixtralTensors } from '../dist/runtime/weights/mixtralTensors.js'
import { readCommandLine } from './commandLine.mjs'
import { repetitions } from './routingStatistics.mjs'

const text = { type: 'string' }
const { values, positionals } = readCommandLine(import.meta.url, { tokens: text, text, ram: text }, [1, 2])
const [path, out] = positionals
const depth = 4

const tokens = Number(values.tokens ?? 256)
const memory = values.ram === undefined ? {} : { ram: Number(values.ram) }
const model = await MixtralModel.load(path, { batchSize: tokens, contextLength: tokens, ...memory })
const { hiddenSize, layers, experts, expertsPerToken, rmsEps, vocabSize } = model.config
const ids = values.text
  ? model.tokenizer.encode(readFileSync(values.text, 'utf8'), { addBos: true }).slice(0, tokens)
  : Array.from({ length: tokens }, (_, i) => (i * 7919 + 13) % vocabSize)
const traced = await model.trace(ids, { tensors: ['ffn_inp-*', 'ffn_moe_logits-*'] })
await model.close()
const tensors = mixtralTensors(model.config, model.gguf)
const { load } = matrixSource(model.gguf)

/** What a layer's router says of residuals: (tokens, hidden) to (tokens, experts). */
function route(layer, x) {
  const norm = load(tensors.layers[layer].ffnNorm).values
  const router = load(tensors.layers[layer].ffnGateInp).values
  const logits = []
  for (let start = 0; start < x.length; start += hiddenSize) {
    const row = x.subarray(start, start + hiddenSize)
    const scale = 1 / Math.sqrt(row.reduce((sum, value) => sum + value ** 2, 0) / hiddenSize + rmsEps)
    for (let e = 0; e < experts; e++)
      logits.push(scale * row.reduce((sum, value, c) => sum + value * norm[c] * router[e * hiddenSize + c], 0))
  }
  return logits
}

const valuesOf = (name, layer) => traced.find((tensor) => tensor.name === `${name}-${layer}`).values
const short = (list) => Array.from(list, (value) => Math.round(value * 1000) / 1000)
const everyLayer = Array.from({ length: layers }, (_, layer) => layer)
const trace = {
  tokens: ids.length,
  layers,
  experts,
  used: expertsPerToken,
  logits: everyLayer.map((layer) => short(valuesOf('ffn_moe_logits', layer))),
  // per layer and distance 1 .. depth
  predictions: everyLayer.map((layer) =>
    everyLayer.slice(layer + 1, layer + 1 + depth).map((next) => short(route(next, valuesOf('ffn_inp', layer)))),
  ),
}
if (out) writeFileSync(out, JSON.stringify(trace))
process.stdout.write(repetitions(trace))
