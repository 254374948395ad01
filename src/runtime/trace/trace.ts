// A forward pass that stops wherever a wanted tensor is. The stages are the ordinary ones, cut into other steps, so the results are the ordinary ones. Owns the order of
// the stops; where a tensor lies is tapReader.ts.

import { STAGES, type Step } from '../model/step.js'
import { TapReader, type TracedBanks } from './tapReader.js'
import { embeddingTap, outputTaps, type TapChoice, type TracedRows, type TracedTensor } from './taps.js'

/** Up to where a step goes, and what can be read then. */
interface Stop {
  readonly layer: number
  readonly stage: number
  readonly taps: readonly Pick<TracedTensor, 'name' | 'shape'>[]
}

/**
 * Runs the tokens from `position` on, and gives the wanted tensors of these tokens as they come about. tokens: at most `plan.batchSize`. What comes after the last wanted
 * tensor is not run: what is in the KV cache afterwards is not for use.
 */
export async function* traceStep(
  banks: TracedBanks,
  runStep: (step: Step) => Promise<void>,
  { tokens, position, choice }: { readonly tokens: readonly number[]; readonly position: number; readonly choice: TapChoice },
): AsyncGenerator<TracedTensor> {
  const { layers } = banks.config
  const count = tokens.length
  const reader = new TapReader(banks, count)
  let layer = 0
  let stage = 0
  let embed = true
  for (const stop of stopsOf(banks, choice)) {
    if (stage === STAGES) {
      reader.moveStream(layer, ++layer)
      stage = 0
    }
    const isLast = stop.layer === layers
    await runStep({
      count,
      position,
      tokens,
      embed,
      traced: true,
      firstLayer: layer,
      firstStage: stage,
      endLayer: isLast || stop.stage === 0 ? stop.layer : stop.layer + 1,
      endStage: isLast ? STAGES : stop.stage,
      logits: isLast ? count : 0,
    })
    for (const { name, shape } of stop.taps) yield { name, shape: [count, ...shape], values: reader.read(name, stop.layer, shape) }
    layer = stop.layer
    stage = stop.stage
    embed = false
  }
}

/** The ends of stages after which a tensor is wanted; shapes are those of one token. */
function stopsOf({ config }: TracedBanks, choice: TapChoice): Stop[] {
  const stops: Stop[] = []
  if (choice.has(embeddingTap.name))
    stops.push({ layer: 0, stage: 0, taps: [{ name: embeddingTap.name, shape: embeddingTap.dims(config) }] })
  for (let layer = 0; layer < config.layers; layer++) {
    const wanted = choice.inLayer(layer)
    for (const end of new Set(wanted.map(({ after }) => after))) {
      const taps = wanted.filter(({ after }) => after === end).map(({ name, dims }) => ({ name: `${name}-${layer}`, shape: dims(config) }))
      stops.push({ layer, stage: end + 1, taps })
    }
  }
  const outputs = outputTaps.filter(({ name }) => choice.has(name))
  if (outputs.length) stops.push({ layer: config.layers, stage: 0, taps: outputs.map(({ name, dims }) => ({ name, shape: dims(config) })) })
  return stops
}

/** The tensors of all chunks, put together: `tokens` rows each. */
export async function gatherTrace(chunks: AsyncIterable<TracedRows>, tokens: number): Promise<TracedTensor[]> {
  const tensors = new Map<string, TracedTensor>()
  for await (const { name, shape, values, position } of chunks) {
    const [rows, ...dims] = shape as [number, ...number[]]
    const width = values.length / rows
    const key = `${name} ${dims}` // Qcur and Kcur come in two shapes
    const whole = tensors.get(key) ?? { name, shape: [tokens, ...dims], values: emptyLike(values, tokens * width) }
    tensors.set(key, whole)
    whole.values.set(values, position * width)
  }
  return [...tensors.values()]
}

const emptyLike = (values: TracedTensor['values'], length: number) =>
  values instanceof Int32Array ? new Int32Array(length) : new Float32Array(length)
