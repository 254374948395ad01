// The standing adversary, `npm run test:hostile -- FLAGS`. Without flags: a minute of damaged inputs with a seed of its
// own. Owns the flags; what each does is in the module of its name. Exits with 1 if there was a fault.

import { parseArgs } from 'node:util'
import { jobNames, repeatFault, tryFaults } from './faults.mjs'
import { repeatInput, tryInputs } from './inputs.mjs'
import { kinds } from './kinds.mjs'
import { tryNotFinite } from './notFinite.mjs'
import { trySignals } from './signals.mjs'
import { tryTexts } from './texts.mjs'
import { searchWorst } from './worst.mjs'

const usage = `npm run test:hostile -- [flags]
  --quick          a little of all, the same each time: what CI runs
  --minutes N      damaged inputs of all kinds for so long (default: 1)
  --inputs N       so many of a kind with share 1, instead of minutes
  --seed S         the same inputs again (default: another one each time)
  --kinds A,B      only of these kinds: ${[...kinds.keys()].join(', ')}
  --keep           stores what has a fault under test/hostile/cases/, where a test tries it from then on
  --repeat K:S:N   one input again, as a fault names it; K:S:N+COUNT for what several inputs left behind
  --faults N       N runs of each job with faults injected into its reads, writes, requests and messages
  --jobs A,B       only of these jobs: ${jobNames.join(', ')}
  --repeat-fault J:S:N
  --not-finite     models with one value that is not finite, in every role and type, resident and streamed
  --worst          the most expensive inputs of each kind, in --steps N (default: 60) of about --bytes N (default: 1000000)
  --signals N      N signals at random moments of all commands, or of --commands A,B; --soon on a quiet machine
  --texts N        N messages of random Unicode through chat templates`

const QUICK = {
  seed: '1',
  inputs: 20,
  faults: 2,
  texts: 3000,
  types: ['Q4_K'],
  only: ['pull', 'quantize', 'convert', 'imatrix', 'verify', 'rm'],
}

/** A little of all, the same each time and without a clock: for every change. */
async function quick() {
  const { seed, inputs, faults, texts, types, only } = QUICK
  const found = [
    await tryInputs({ seed, inputs, say }),
    await tryFaults({ seed, runs: faults, say }),
    tryTexts({ seed, messages: texts, say }),
    await tryNotFinite({ seed, types, say }),
    await trySignals({ seed, count: only.length + 1, only, say }),
  ]
  return found.reduce((sum, count) => sum + count, 0)
}

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    minutes: { type: 'string' },
    inputs: { type: 'string' },
    seed: { type: 'string' },
    kinds: { type: 'string' },
    keep: { type: 'boolean' },
    repeat: { type: 'string' },
    faults: { type: 'string' },
    from: { type: 'string' },
    jobs: { type: 'string' },
    'repeat-fault': { type: 'string' },
    'not-finite': { type: 'boolean' },
    types: { type: 'string' },
    texts: { type: 'string' },
    signals: { type: 'string' },
    commands: { type: 'string' },
    soon: { type: 'boolean' },
    worst: { type: 'boolean' },
    steps: { type: 'string' },
    bytes: { type: 'string' },
    help: { type: 'boolean' },
  },
})
const say = (line) => process.stdout.write(`${line}\n`)
const seed = flags.seed ?? String(Date.now() % 1e9)

async function main() {
  if (flags.help) return say(usage) ?? 0
  if (flags.quick) return quick()
  if (flags.repeat) return repeatInput(flags.repeat, say)
  if (flags['repeat-fault']) return repeatFault(flags['repeat-fault'], say)
  if (flags.faults)
    return tryFaults({ runs: Number(flags.faults), seed, names: flags.jobs?.split(','), say, from: Number(flags.from ?? 0) })
  if (flags['not-finite']) return tryNotFinite({ seed, types: flags.types?.split(','), say })
  if (flags.signals) return trySignals({ count: Number(flags.signals), seed, soon: flags.soon, only: flags.commands?.split(','), say })
  if (flags.texts) return tryTexts({ messages: Number(flags.texts), seed, say })
  const names = flags.kinds?.split(',')
  if (flags.worst) return searchWorst({ seed, steps: Number(flags.steps ?? 60), bytes: Number(flags.bytes ?? 1e6), names, say })
  const inputs = flags.inputs === undefined ? undefined : Number(flags.inputs)
  return tryInputs({ seed, inputs, minutes: Number(flags.minutes ?? (inputs ? Infinity : 1)), names, keep: flags.keep, say })
}

if ((await main()) > 0) process.exitCode = 1
