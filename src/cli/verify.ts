// `mixtral verify`: the kernels against the plain reference, layer by layer. Prints; the comparison is reference/verify.ts.

import type { Command } from 'commander'
import { resolveModelPath } from '../generate/modelPath.js'
import { Reference } from '../reference/reference.js'
import { compareStages, type StageCheck } from '../reference/verify.js'
import { addModelFlags, addOutputFlags, type ModelFlags } from './flags.js'
import { coloursOf, errorLine, jsonLine } from './layout.js'
import { withModel } from './loading.js'

interface VerifyFlags extends ModelFlags {
  readonly prompt: string
}

/** More than the four tokens that a kernel takes at once, and no multiple of four, on any vocabulary. */
const defaultPrompt = 'Once upon a time, there was a child who lived near the sea.'
const MOST_TOKENS = 64

export function configureVerify(command: Command): void {
  command
    .argument('[model]', '"demo" or the path of a GGUF file', 'demo')
    .option('--prompt <text>', `the text to run, of which the first ${MOST_TOKENS} tokens count`, defaultPrompt)
  addOutputFlags(addModelFlags(command))
    .addHelpText(
      'after',
      `
Each layer gets the same input in both. The error is relative to what the layer adds; "allowed" is what rounding the activations to 8 bits, as
quantised weights want it, may cause. A token whose experts are nearly tied may be routed otherwise. The exit code is 1 if a layer is off.
The reference is slow: minutes for an 8x7B model.

Examples:
  mixtral verify
  mixtral verify mixtral-8x7b.Q4_K_M.gguf --json`,
    )
    .action(verify)
}

async function verify(name: string, flags: VerifyFlags): Promise<void> {
  const checks: StageCheck[] = []
  await withModel(name, flags, async (model) => {
    const tokens = model.tokenizer.encodePrompt(flags.prompt).slice(0, Math.min(MOST_TOKENS, model.contextLength))
    const reference = await Reference.open(await resolveModelPath(name))
    const print = flags.json ? () => {} : (line: string) => void process.stdout.write(`${line}\n`)
    print(tableRow('layer', 'weights', 'error', 'worst', 'allowed', 'routing', ''))
    for await (const check of compareStages(reference, model, model.gguf, tokens)) {
      checks.push(check)
      print(describe(check, tokens.length))
    }
    if (flags.json)
      process.stdout.write(
        jsonLine({ model: name, kernels: model.kernels, tokens, layers: checks.map(jsonCheck), ok: off(checks).length === 0 }),
      )
  })
  const failed = off(checks)
  if (failed.length === 0) return
  process.exitCode = 1
  process.stderr.write(errorLine(`${name}: the kernels are off in layer ${failed.map(({ stage }) => stage).join(', ')}`))
}

const off = (checks: readonly StageCheck[]) => checks.filter(({ ok }) => !ok)

function describe({ stage, types, error, worstToken, allowed, rerouted, ok }: StageCheck, tokens: number): string {
  const { green, red } = coloursOf(process.stdout)
  const routing = stage === 'output' ? '' : `${tokens - rerouted}/${tokens}`
  return tableRow(String(stage), types.join(' '), share(error), share(worstToken), share(allowed), routing, ok ? green('ok') : red('OFF'))
}

function jsonCheck({ stage, types, error, worstToken, allowed, rerouted, ok }: StageCheck) {
  return { layer: stage, types, error, worst_token: worstToken, allowed, rerouted_tokens: rerouted, ok }
}

// Rows come one by one, so the widths are fixed.
function tableRow(layer: string, weights: string, error: string, worst: string, allowed: string, routing: string, verdict: string): string {
  const cells = [
    layer.padEnd(6),
    weights.padEnd(20),
    error.padStart(9),
    worst.padStart(9),
    allowed.padStart(9),
    routing.padStart(7),
    verdict,
  ]
  return cells.join('  ').trimEnd()
}

const share = (value: number) => value.toPrecision(2)
