// A forward pass that stops after each stage with a chosen tensor. It runs the usual stages, cut into other steps, so
// the results are the usual ones. Owns the order of the stops. Does not know where a tensor lies (tapReader.ts).

import { layerStages, type Segment, STAGES, type Step } from '../model/step.js'
import { TapReader, type TracedBanks } from './tapReader.js'
import { embeddingTap, outputTaps, type TapChoice, type TracedRows, type TracedTensor, type TracedValues } from './taps.js'

/** The end of a step, and the tensors to read there. */
interface Stop {
  readonly layer: number
  readonly stage: number
  readonly taps: readonly Pick<TracedTensor, 'name' | 'shape'>[]
}

/**
 * Runs the tokens of a segment, and yields their chosen tensors as they are computed. tokens: at most `plan.batchSize`.
 * Stages after the last chosen tensor are not run, so the KV cache is not to be used afterwards.
 */
export async function* traceStep(
  banks: TracedBanks,
  runStep: (step: Step) => Promise<void>,
  { tokens, segment, choice }: { readonly tokens: readonly number[]; readonly segment: Segment; readonly choice: TapChoice },
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
      tokens,
      segments: [segment],
      copies: [],
      embed,
      traced: true,
      firstLayer: layer,
      firstStage: stage,
      endLayer: isLast || stop.stage === 0 ? stop.layer : stop.layer + 1,
      endStage: isLast ? STAGES : stop.stage,
      wanted: isLast ? [...tokens.keys()] : [],
      jobs: [],
      nextRows: 1,
    })
    for (const { name, shape } of stop.taps) yield { name, shape: [count, ...shape], values: reader.read(name, stop.layer, shape) }
    layer = stop.layer
    stage = stop.stage
    embed = false
  }
}

/** The ends of stages with a chosen tensor; shapes are those of one token. */
function stopsOf({ config }: TracedBanks, choice: TapChoice): Stop[] {
  const stops: Stop[] = []
  if (choice.has(embeddingTap.name))
    stops.push({ layer: 0, stage: 0, taps: [{ name: embeddingTap.name, shape: embeddingTap.dims(config) }] })
  for (let layer = 0; layer < config.layers; layer++) {
    const wanted = choice.inLayer(layer)
    for (const end of new Set(wanted.map(({ after }) => after))) {
      const taps = wanted.filter(({ after }) => after === end).map(({ name, dims }) => ({ name: `${name}-${layer}`, shape: dims(config) }))
      stops.push({ layer, stage: layerStages.indexOf(end) + 1, taps })
    }
  }
  const outputs = outputTaps.filter(({ name }) => choice.has(name))
  if (outputs.length) stops.push({ layer: config.layers, stage: 0, taps: outputs.map(({ name, dims }) => ({ name, shape: dims(config) })) })
  return stops
}

/** Joins the rows of all steps to whole tensors: `tokens` rows each. */
export async function gatherTrace<Values extends TracedValues>(
  steps: AsyncIterable<TracedRows<Values>>,
  tokens: number,
): Promise<TracedTensor<Values>[]> {
  const tensors = new Map<string, TracedTensor<Values>>()
  for await (const { name, shape, values, position } of steps) {
    const [rows, ...dims] = shape as [number, ...number[]]
    const width = values.length / rows
    const key = `${name} ${dims}` // Qcur and Kcur come in two shapes
    const whole = tensors.get(key) ?? { name, shape: [tokens, ...dims], values: emptyLike(values, tokens * width) as Values }
    tensors.set(key, whole)
    whole.values.set(values, position * width)
  }
  return [...tensors.values()]
}

const emptyLike = (values: TracedValues, length: number) =>
  values instanceof Int32Array ? new Int32Array(length) : new Float32Array(length)
