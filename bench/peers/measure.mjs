// What is measured and in which order: for one file and thread count every engine is loaded, stays loaded, and takes
// turns with the others (A B A B ...), so that whatever else the machine does hits all of them alike.

import { freemem } from 'node:os'
import { EngineProcess } from './engineProcess.mjs'

/** The prefills and decodes that fit the model. A decode is `tokens` long, after `depth` tokens of context. */
function plan({ contextLength }, { prefills, depths, tokens }) {
  return [
    ...prefills.map((length) => ({ kind: 'prefill', tokens: length, depth: 0 })),
    ...depths.map((depth) => ({ kind: 'decode', tokens, depth })),
  ].filter((test) => test.depth + test.tokens <= contextLength)
}

/** Token ids without meaning, the same for every engine and different for every `seed`; BOS first. */
export function syntheticIds(count, seed, vocabulary) {
  return Array.from({ length: count }, (_, i) => (i === 0 ? 1 : 3 + ((i * 7919 + seed * 104729) % (vocabulary - 3))))
}

/** How many times a file an engine keeps in memory: node-llama-cpp maps the file and has a repacked copy beside it. */
const memoryPerFile = { 'mixtral-wasm': 1.05, 'node-llama-cpp': 1.75, wllama: 2 }

function checkMemory(columns, file) {
  const needed = columns.reduce((sum, { engine }) => sum + memoryPerFile[engine] * file.bytes + 5e8, 0)
  if (needed <= freemem()) return
  const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(1)} GB`
  throw new Error(`${file.name} in ${columns.length} engines takes about ${gigabytes(needed)} of memory, ${gigabytes(freemem())} are free`)
}

/**
 * Measures all columns on one file and thread count. A peer that cannot load the file is left out; the first column has
 * to.
 * @returns `engines`, one entry per column; `tests` with one list of samples (tokens per second) per column; `failures`
 * in words
 */
export async function measure(file, threads, options, log) {
  checkMemory(options.columns, file)
  const tests = plan(file, options)
  const room = Math.max(...tests.map((test) => test.depth + test.tokens), 512)
  const contextLength = Math.min(Math.ceil(room / 256) * 256, file.contextLength)
  const running = new Set()
  try {
    const { engines, failures } = await loadAll({ path: file.path, threads, contextLength }, options, running, log)
    const processes = engines.map((engine) => engine.process)
    const results = []
    for (const test of tests) results.push(await takeTurns(test, processes, options.repetitions, file.vocabulary, log))
    for (const engine of engines) {
      if (engine.about.ownProcess !== false) engine.peakRssBytes = engine.process.peakRssBytes()
      await close(engine.process, running)
    }
    return { engines, tests: results, failures }
  } finally {
    for (const child of running) child.kill()
  }
}

/**
 * Loads every column `loads` times in a fresh process and leaves the last one up. `running` always holds the processes
 * that are.
 */
async function loadAll(request, { columns, loads }, running, log) {
  const failures = []
  let engines = columns.map(({ engine, script, command }) => ({ name: engine, script, command, loadSeconds: [] }))
  for (let round = 1; round <= loads; round++) {
    log(`load ${round} of ${loads}`)
    for (const engine of engines) {
      engine.process = new EngineProcess(engine.script, engine.command)
      running.add(engine.process)
      try {
        const { seconds, about } = await engine.process.request('load', request)
        engine.loadSeconds.push(seconds)
        engine.about = about
        if (round < loads) await close(engine.process, running)
      } catch (error) {
        if (engine === engines[0]) throw error
        failures.push(`${engine.name} under ${engine.command.join(' ')} does not load ${request.path}:\n${error.message}`)
        engines = engines.filter((other) => other !== engine)
        engine.process.kill()
        running.delete(engine.process)
      }
    }
  }
  return { engines, failures }
}

async function close(child, running) {
  await child.close()
  running.delete(child)
}

/** Small models are through in milliseconds; a sample repeats them until it has taken this long. */
const leastSeconds = 0.25

async function takeTurns(test, processes, repetitions, vocabulary, log) {
  const samples = processes.map(() => [])
  const picks = processes.map(() => [])
  // Repetition 0 warms up and is not counted.
  for (let repetition = 0; repetition <= repetitions; repetition++) {
    log(`${test.kind} ${test.tokens}${test.depth ? ` after ${test.depth}` : ''}, ${repetition} of ${repetitions}`)
    const ids = syntheticIds(test.tokens, repetition, vocabulary)
    // The same prompt every time: a long one is run once and then kept.
    const request = test.kind === 'prefill' ? { ids } : { prompt: syntheticIds(test.depth, test.depth, vocabulary), ids }
    for (const [i, child] of processes.entries()) {
      let runs = 0
      let seconds = 0
      while (seconds < leastSeconds) {
        const reply = await child.request(test.kind, request)
        if (runs++ === 0) picks[i].push(...reply.picks)
        seconds += reply.seconds
      }
      if (repetition > 0) samples[i].push((runs * test.tokens) / seconds)
    }
  }
  const agreement = picks.map((own) => (own.length > 0 ? own.filter((pick, n) => pick === picks[0][n]).length / own.length : undefined))
  return { ...test, samples, agreement }
}
