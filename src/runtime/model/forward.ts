// The forward pass, as every thread runs it: the same program and the same barriers, each thread with its own units. To
// follow a token, read `run` downwards. The residual stream lies in the bank of the layer that works on it. Work on one
// token alone (sums, norms, routing, quantization) is one unit. Owns the order of the work. Does not know how experts
// get into memory.

import type { ActivationKind } from '../../format/quants/activations.js'
import { formats } from '../../format/quants/formats.js'
import { type JobMemory, NO_LOGITS } from '../sampler/jobMemory.js'
import { kvHeadBytes } from '../weights/pages.js'
import type { PlacedLayer } from '../weights/plan.js'
import { rowAt } from '../weights/scratch.js'
import { Attention } from './attention.js'
import type { ExpertStore } from './expertStore.js'
import { Experts } from './experts.js'
import { Linear } from './linear.js'
import { LowRankProducts } from './lowRankProducts.js'
import { ropeFrequencies, writeRopeRow } from './rotation.js'
import type { Routes } from './routes.js'
import { type LayerStage, layerStages, type PageCopy, rowsOf, STAGES, type Step, type StepRows } from './step.js'
import type { Thread } from './thread.js'

interface ForwardLayer {
  readonly index: number
  readonly placed: PlacedLayer
  readonly attention: Attention
  readonly router: Linear
  readonly routerChanges: LowRankProducts | undefined
  readonly experts: Experts
  /** The activation formats of the router's and the experts' inputs. */
  readonly inputKinds: ReadonlySet<ActivationKind>
  /** Units of the stages `norm` and `route`, made once: a step allocates nothing for a layer. */
  readonly normRow: (t: number) => void
  readonly routeRow: (t: number) => void
}

export class Forward {
  readonly #thread: Thread
  readonly #store: ExpertStore
  readonly #jobs: JobMemory
  readonly #routes: Routes
  readonly #layers: readonly ForwardLayer[]
  readonly #output: Linear
  /** The banks that hold a layer's attention. */
  readonly #homes: readonly number[]
  readonly #frequencies: Float64Array
  #step!: StepRows

  constructor(thread: Thread, store: ExpertStore, jobs: JobMemory, routes: Routes) {
    this.#jobs = jobs
    this.#routes = routes
    const { plan, banks, config, adapted } = thread
    this.#thread = thread
    this.#store = store
    this.#layers = plan.layers.map((placed, index) => {
      const router = new Linear(banks, placed.ffnGateInp)
      const changes = adapted?.layers[index]
      const experts = new Experts(thread, store, index, placed, changes)
      const layer: ForwardLayer = {
        index,
        placed,
        attention: new Attention(thread, index, placed, changes),
        router,
        routerChanges: changes && new LowRankProducts(thread, adapted!.low.output, [changes.matrices.ffnGateInp]),
        experts,
        inputKinds: new Set([...experts.kinds, router.kind]),
        normRow: (t) => this.#normRow(layer, t),
        routeRow: (t) => this.#routeRow(layer, t),
      }
      return layer
    })
    this.#output = new Linear(banks, plan.output)
    this.#homes = [...new Set(plan.layers.map(({ bank }) => bank))]
    this.#frequencies = ropeFrequencies(config.ropeDim, config.ropeTheta)
  }

  run(of: Step): void {
    const step = rowsOf(of)
    this.#step = step
    const { firstLayer, endLayer, firstStage, endStage } = step
    const home = (index: number) => this.#layers[index]?.placed.bank ?? this.#output.bankIndex
    this.#begin(step, home(firstLayer))
    for (let index = firstLayer; index < endLayer; index++) {
      const layer = this.#layers[index]!
      const end = index === endLayer - 1 ? endStage : STAGES
      for (let at = index === firstLayer ? firstStage : 0; at < end; at++) this.#runStage(layer, layerStages[at]!, step)
    }
    const last = endLayer > firstLayer && endStage === STAGES ? this.#layers[endLayer - 1] : undefined
    this.#end(step, last, step.wanted.length ? this.#output.bankIndex : home(endLayer - 1))
  }

  #runStage({ attention, experts, normRow, routeRow }: ForwardLayer, stage: LayerStage, step: StepRows): void {
    if (stage === 'norm') this.#thread.each('norm', step.count, normRow)
    else if (stage === 'qkv') attention.project(step)
    else if (stage === 'rope') attention.rotateAndStore(step)
    else if (stage === 'attention') attention.attend(step)
    else if (stage === 'output') attention.projectOutput(step)
    else if (stage === 'route') this.#thread.each('route', step.count, routeRow)
    else experts.run(step)
  }

  /** Adds the outputs of the experts of the layer before, if the step ran that, and norms a token for attention. */
  #normRow({ index, placed, attention }: ForwardLayer, t: number): void {
    const step = this.#step
    if (index > step.firstLayer) this.#addExpertOutputs(this.#layers[index - 1]!, t, placed.bank, step)
    this.#norm(placed.bank, placed.attnNormAt, t, attention.kinds)
    attention.lowerInput(step, t)
  }

  #routeRow(layer: ForwardLayer, t: number): void {
    const step = this.#step
    this.#route(layer, t, step)
    layer.experts.lowerInputs(step, t)
    this.#store.predict(layer.index, t, step.count)
  }

  /** What must be in place before the first stage: embeddings, angles, page tables, and pages that are copied. */
  #begin(step: StepRows, bank: number): void {
    const { count, copies } = step
    const layers = this.#layers.length
    const afterRows = count + this.#homes.length
    this.#thread.each('embed', afterRows + copies.length * layers, (unit) => {
      if (unit < count) this.#embed(step, unit, bank)
      else if (unit < afterRows) this.#writeTables(step, this.#homes[unit - count]!)
      else this.#copyPage(copies[Math.floor((unit - afterRows) / layers)]!, this.#layers[(unit - afterRows) % layers]!)
    })
  }

  /** Writes the page tables of all segments to a bank that holds a layer's KV cache. */
  #writeTables({ segments }: StepRows, bank: number): void {
    const { scratch, banks } = this.#thread
    for (const [i, { table }] of segments.entries()) banks[bank]!.ints.set(table, rowAt(scratch.tables, i) / 4)
  }

  /** Copies the keys and values of a layer from one page to another. */
  #copyPage({ from, to }: PageCopy, { placed }: ForwardLayer): void {
    const { banks, config, plan } = this.#thread
    const { bytes } = banks[placed.bank]!
    const headBytes = kvHeadBytes(plan.pages, config.headDim, plan.kvFormat)
    const pageBytes = headBytes / plan.pages
    for (const start of [placed.keysAt, placed.valuesAt]) {
      for (let head = 0; head < config.kvHeads; head++) {
        const at = start + head * headBytes
        bytes.copyWithin(at + to * pageBytes, at + from * pageBytes, at + (from + 1) * pageBytes)
      }
    }
  }

  /** Writes a token's embedding to the residual stream, and its row of the rope table to every bank that rotates. */
  #embed({ embed, tokens, positions }: StepRows, t: number, bank: number): void {
    const { scratch, plan, banks, config } = this.#thread
    if (embed) {
      const { bank: from, at, type, rowBytes } = plan.tokenEmbd
      const start = at + tokens[t]! * rowBytes
      const x = rowAt(scratch.x, t) / 4
      formats
        .get(type)!
        .dequantize(banks[from]!.bytes.subarray(start, start + rowBytes), banks[bank]!.floats.subarray(x, x + config.hiddenSize))
    }
    const angles = rowAt(scratch.ropeTable, t)
    const [first, ...others] = this.#homes
    writeRopeRow(this.#frequencies, positions[t]!, banks[first!]!.floats, angles / 4)
    for (const other of others) this.#thread.copy(first!, other, angles, scratch.ropeTable.bytes)
  }

  /** Moves a token's residual to the bank `to`, and adds the weighted outputs of a layer's experts to it. */
  #addExpertOutputs({ placed, experts }: ForwardLayer, t: number, to: number, { used, firstPair, traced }: StepRows): void {
    const thread = this.#thread
    const { scratch, config } = thread
    const { floats } = thread.banks[placed.bank]!
    const x = rowAt(scratch.x, t)
    const { expertWeights, expertOutputs } = scratch
    thread.copy(placed.bank, to, x, scratch.x.bytes)
    for (let k = 0; k < used[t]!; k++) {
      const weight = floats[rowAt(expertWeights, t) / 4 + k]!
      const pair = firstPair[t]! + k
      const y = rowAt(expertOutputs, pair)
      thread.copy(experts.bankOf(pair), to, y, expertOutputs.bytes)
      if (traced)
        for (const area of Object.values(scratch.expertInputs)) thread.copy(experts.bankOf(pair), to, rowAt(area, pair), area.bytes)
      thread.banks[to]!.kernels.add_scaled(x, y, config.hiddenSize, weight)
    }
  }

  /** Norms a token's residual to `inputs`, in float32 and in the activation formats `kinds`. */
  #norm(bankIndex: number, weightAt: number, t: number, kinds: ReadonlySet<ActivationKind>): void {
    const { scratch, banks, config } = this.#thread
    const bank = banks[bankIndex]!
    bank.kernels.rms_norm(rowAt(scratch.x, t), weightAt, rowAt(scratch.inputs.f32!, t), config.hiddenSize, config.rmsEps)
    this.#thread.quantize(bank, scratch.inputs, kinds, t, config.hiddenSize)
  }

  /** Adds attention's output to a token's residual, norms it, and chooses the token's experts. */
  #route({ index, placed, router, routerChanges, inputKinds }: ForwardLayer, t: number, step: StepRows): void {
    const thread = this.#thread
    const used = step.used[t]!
    const { scratch, config } = thread
    const { kernels, ints, floats } = thread.banks[placed.bank]!
    const { projected, routerLogits, expertIds, expertWeights } = scratch
    kernels.add(rowAt(scratch.x, t), rowAt(projected, t), config.hiddenSize)
    this.#norm(placed.bank, placed.ffnNormAt, t, inputKinds)
    const logits = rowAt(routerLogits, t)
    router.multiply(0, router.groups, [rowAt(scratch.inputs[router.kind]!, t)], [logits], 1)
    if (routerChanges?.isIn(step)) {
      const row = () => t
      routerChanges.lower(step, t, t, placed.bank, rowAt(scratch.inputs.f32!, t), config.hiddenSize * 4)
      routerChanges.add(step, 0, { first: 0, groups: router.groups, count: 1 }, row, row, [logits], floats)
    }
    const ids = rowAt(expertIds, t)
    const weights = rowAt(expertWeights, t)
    kernels.route(logits, config.experts, used, ids, weights)
    this.#routes.write({ row: t, layer: index, used }, ints, ids / 4, floats, weights / 4, logits / 4)
  }

  /**
   * Adds the outputs of the last layer's experts, if the step ran it, and computes the logits of the wanted rows: the
   * i-th row of logits is that of the i-th of them, unless its job says that nobody wants it. Rows that nothing is read
   * of are left as they are.
   */
  #end(step: StepRows, last: ForwardLayer | undefined, bank: number): void {
    const { count, wanted, jobs, traced } = step
    const thread = this.#thread
    const { plan, scratch } = thread
    const output = this.#output
    const kinds = new Set([output.kind])
    if (traced && last) thread.each('norm', count, (t) => this.#addExpertOutputs(last, t, bank, step))
    if (!wanted.length) return
    thread.each('norm', wanted.length, (i) => {
      const t = wanted[i]!
      if (last && !traced) this.#addExpertOutputs(last, t, bank, step)
      this.#norm(bank, plan.outputNormAt, t, kinds)
    })
    const area = scratch.inputs[output.kind]!
    const rowBytes = output.groups * 16
    const projected = Array.from(wanted, (_, i) => i).filter((i) => jobs[i] !== NO_LOGITS)
    if (!projected.length) return
    const inputs = projected.map((i) => rowAt(area, wanted[i]!))
    thread.eachRows('logits', [output], inputs.length, (_, first, groups) => {
      const outputs = projected.map((i) => plan.logitsAt + i * rowBytes + first * 16)
      output.multiply(first, groups, inputs, outputs, inputs.length)
    })
    if (jobs.length) thread.each('sample', wanted.length, (i) => this.#sample(jobs[i]!, i))
  }

  /** Does a job with the i-th row of logits. */
  #sample(job: number, i: number): void {
    if (job <= 0) return
    const { plan, banks } = this.#thread
    const { bankIndex, groups } = this.#output
    const start = (plan.logitsAt + i * groups * 16) / 4
    this.#jobs.do(job, banks[bankIndex]!.floats.subarray(start, start + plan.output.rows), i)
  }
}
