// Every command, interrupted at random moments: it is gone soon, nothing half-made has a final name, and nothing
// temporary is left beside it. What is soon is only asked of a quiet machine.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { startServer } from './faults/jobs.mjs'
import { Random } from './random.mjs'
import { checkpointFiles, ggufBytes, metadataOf, tensorsOf } from './tinyModel.mjs'

const main = fileURLToPath(new URL('../../dist/interfaces/cli/main.js', import.meta.url))
const table = fileURLToPath(new URL('../evaluation/tasks/files/arc.parquet', import.meta.url))
/** Milliseconds to the end: of a command that only reads, and of one that has a file to put right. */
const SOON = { reading: 500, writing: 2000 }
/** Milliseconds in which a command gets its signal. */
const LONGEST = 10_000
/** Nobody waits longer, whatever the machine does. */
const NEVER = 60_000

const text = 'Once upon a time there was a king. '.repeat(400)
const endless = ['--temperature', '9', '--top-k', '0', '--top-p', '1', '--min-p', '0']

/**
 * Commands with their arguments; outputs are names in the folder. `listens`: it ends only by a signal. `signals`: those
 * that end it, where not all do.
 */
function commandsOf({ folder, model, checkpoint, host }) {
  const at = (name) => path.join(folder, name)
  return [
    { args: ['run', 'demo', 'KING RICHARD III:', ...endless] },
    { args: ['run', model, 'ab', '--ram', '24M'] },
    { args: ['chat', 'demo', ...endless], input: 'Babble.\n/clear\n'.repeat(50), signals: ['SIGTERM', 'SIGHUP'] },
    { args: ['serve', 'demo', '--port', '0'], listens: true },
    { args: ['pull', `${host}/user/model:latest`], writes: true },
    { args: ['pull', `http://${host}/a/m.gguf`], writes: true },
    { args: ['list'] },
    { args: ['show', 'demo'] },
    { args: ['inspect', model] },
    { args: ['tokenize', 'demo', text] },
    { args: ['logits', 'demo', '--prompt', text.slice(0, 900), '--out', at('out.npy')], writes: true },
    { args: ['trace', 'demo', '--prompt', 'ab', '--out', at('out.safetensors')], writes: true },
    { args: ['perplexity', 'demo', at('text'), '-c', '64', '--save-logits', at('out.kld')], writes: true },
    { args: ['imatrix', 'demo', at('text'), at('out.imatrix'), '-c', '64'], writes: true },
    { args: ['quantize', model, at('out.gguf'), 'Q8_0'], writes: true },
    { args: ['convert', checkpoint, at('converted.gguf')], writes: true },
    { args: ['verify', model] },
    { args: ['bench', 'demo'] },
    { args: ['eval', 'arc_easy', table, '-m', 'demo'] },
    { args: ['rm', `${host}/user/model:latest`], writes: true },
  ]
}

/** Runs a command, and sends it a signal after some milliseconds. How it ended, and how long after the signal. */
function interrupted({ args, input = '' }, { env, signal, after }) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [main, ...args], { env, stdio: ['pipe', 'ignore', 'pipe'] })
    let errors = ''
    let sentAt
    let late
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      errors = (errors + chunk).slice(-2000)
    })
    child.stdin.on('error', () => {}).end(input)
    const timer = setTimeout(() => {
      sentAt = performance.now()
      child.kill(signal)
      late = setTimeout(() => child.kill('SIGKILL'), NEVER)
    }, after)
    child.on('close', (code, killedBy) => {
      clearTimeout(timer)
      clearTimeout(late)
      resolve({ code, killedBy, errors, waited: sentAt === undefined ? undefined : performance.now() - sentAt })
    })
  })
}

const hashOf = (file) => createHash('sha256').update(fs.readFileSync(file)).digest('hex')
const outputs = (folder) => fs.readdirSync(folder).filter((name) => name.includes('out.') || name.includes('converted.'))

/** What is wrong after a command was interrupted; `whole` has the hashes of outputs that are right. */
function problemOf({ code, killedBy, errors, waited }, command, { signal, folder, whole, soon }) {
  const ended = waited === undefined || code === 128 + os.constants.signals[signal] || killedBy === signal || code === 0
  if (!ended) return `ended with ${killedBy ?? code}: ${errors}`
  if (killedBy === 'SIGKILL') return 'did not end'
  for (const name of outputs(folder)) {
    if (/\.draft\.|~draft/.test(name)) {
      if (killedBy === null) return `${name} is left behind`
    } else if (!whole.has(`${name} ${hashOf(path.join(folder, name))}`)) return `${name} is half-made`
  }
  const most = soonest(command)
  return soon && waited > most ? `late: gone after ${Math.round(waited)} ms, expected ${most}` : undefined
}

const soonest = ({ writes }) => (writes ? SOON.writing : SOON.reading)

function clean(folder) {
  for (const name of outputs(folder)) fs.rmSync(path.join(folder, name), { recursive: true })
}

/** Sends so many signals, to all commands in turn. Returns the number of faults. */
export async function trySignals({ count, seed, soon, only, say }) {
  const folder = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'hostile-signals-'))
  const server = await startServer()
  const sizes = { layers: 4, hidden: 256, intermediate: 512, headDim: 64, experts: 8, used: 2 }
  const [model, checkpoint] = [path.join(folder, 'model.gguf'), path.join(folder, 'checkpoint')]
  fs.writeFileSync(model, ggufBytes({ metadata: metadataOf(sizes), tensors: tensorsOf(sizes) }))
  fs.writeFileSync(path.join(folder, 'text'), text)
  fs.mkdirSync(checkpoint)
  for (const [name, bytes] of Object.entries(checkpointFiles())) fs.writeFileSync(path.join(checkpoint, name), bytes)
  const host = `127.0.0.1:${server.address().port}`
  const none = path.join(folder, 'none')
  const env = { ...process.env, MIXTRAL_HOME: path.join(folder, 'store'), OLLAMA_MODELS: none, HF_HUB_CACHE: none }
  const commands = commandsOf({ folder, model, checkpoint, host }).filter(({ args }) => !only || only.includes(args[0]))
  const random = new Random(seed)
  const lengths = new Map()
  const whole = new Set()
  let [sent, faults, slowest, prompt] = [0, 0, 0, 0]
  process.once('SIGTERM', () => {
    count = 0 // what was sent so far is told
  })
  try {
    for (let n = 0; sent < count; n++) {
      const command = commands[n % commands.length]
      if (!lengths.has(command)) lengths.set(command, await lengthOf(command, { env, folder, whole }))
      const signal = random.pick(command.signals ?? ['SIGINT', 'SIGTERM', 'SIGHUP'])
      const after = Math.round((random.below(1000) / 1000) * lengths.get(command))
      let problem
      // A machine that is busy with other work is late now and then; a command that is late is so each time.
      for (let attempt = 0; attempt < 3; attempt++) {
        clean(folder)
        const outcome = await interrupted(command, { env, signal, after })
        if (outcome.waited !== undefined) slowest = Math.max(slowest, outcome.waited)
        if (attempt === 0 && !(outcome.waited > soonest(command))) prompt++
        problem = problemOf(outcome, command, { signal, folder, whole, soon })
        if (!problem?.startsWith('late')) break
      }
      sent++
      if (!problem) continue
      faults++
      say(`FAULT ${command.args.slice(0, 2).join(' ')}, ${signal} after ${after} ms: ${problem}`)
    }
  } finally {
    server.closeAllConnections()
    server.close()
    fs.rmSync(folder, { recursive: true })
  }
  const within = `${prompt} ended within ${SOON.reading} ms, or ${SOON.writing} ms of those that write`
  say(
    `${sent} signals to ${commands.length} commands, seed ${seed}: ${faults} faults; ${within}; the slowest took ${Math.round(slowest)} ms`,
  )
  return faults
}

/** How long a command takes undisturbed, where it ends by itself; what it makes then is right. */
async function lengthOf(command, { env, folder, whole }) {
  const began = performance.now()
  const { waited, code, errors } = await interrupted(command, { env, signal: 'SIGTERM', after: command.writes ? 10 * LONGEST : LONGEST })
  if (waited === undefined && code !== 0 && !command.args.includes('rm')) throw new Error(`${command.args.join(' ')}: ${errors}`)
  if (waited === undefined) for (const name of outputs(folder)) whole.add(`${name} ${hashOf(path.join(folder, name))}`)
  return Math.min(LONGEST, performance.now() - began)
}
