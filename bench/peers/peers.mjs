// npm ci --ignore-scripts && node peers.mjs
// mixtral-wasm beside other engines, on the same files, threads and machine. Owns the order of the run; measuring is
// measure.mjs's.

import { readBandwidth } from './bandwidth.mjs'
import { openFile } from './files.mjs'
import { runLlamaBench } from './llamaBench.mjs'
import { describeMachine } from './machine.mjs'
import { measure } from './measure.mjs'
import { parseOptions, usage } from './options.mjs'
import { readingSeconds } from './reading.mjs'
import { conclude, headerText, scalingText, startUpText, tableText } from './report.mjs'
import { measureStartUp, wasmBytes } from './startUp.mjs'

function log(message) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${message}`)
  else process.stderr.write(`${message}\n`)
}

function endLog() {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K')
}

async function run(options) {
  const files = []
  for (const name of options.files) files.push(await openFile(name, log))
  const report = { machine: describeMachine(), versions: [], startUp: [], results: [] }
  for (const file of files) {
    log(`${file.name}: reading`)
    const reading = readingSeconds(file.path)
    const results = []
    for (const threads of options.threads) {
      const result = { file, threads, reading, ...(await runCase(file, threads, options)) }
      if (report.versions.length === 0) {
        report.versions = result.engines.map(({ about: { engine, version, runtime, kernels, llamaCpp } }) => {
          return { engine, version, runtime, kernels, llamaCpp }
        })
        if (!options.json) print(headerText(report))
      }
      if (!options.json) print(tableText(result))
      results.push(result)
    }
    if (!options.json && results.length > 1) print(scalingText(results))
    report.results.push(...results)
  }
  if (options.startUp) {
    for (const { command } of options.columns.filter(({ engine }) => engine === 'mixtral-wasm')) {
      log(`start-up under ${command.join(' ')}`)
      report.startUp.push({ command, ...measureStartUp(command) })
    }
    report.wasmBytes = wasmBytes()
    if (!options.json) print(startUpText(report))
  }
  endLog()
  if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
}

async function runCase(file, threads, options) {
  const logCase = (message) => log(`${file.name}, ${threads} thread(s): ${message}`)
  // Before and after, and the better of both: other load on the machine makes the roof look lower than it is.
  logCase('read bandwidth')
  const before = readBandwidth(threads)
  const measured = await measure(file, threads, options, logCase)
  if (options.llamaBench) {
    logCase('llama-bench')
    addLlamaBench(measured, file, threads, options)
  }
  return conclude(file, Math.max(before, readBandwidth(threads)), measured)
}

function addLlamaBench(measured, file, threads, { llamaBench, repetitions }) {
  const { engine, samples } = runLlamaBench(llamaBench, file, threads, measured.tests, repetitions)
  measured.engines.push(engine)
  for (const [t, test] of measured.tests.entries()) test.samples.push(samples[t])
}

function print(text) {
  endLog()
  process.stdout.write(`${text}\n\n`)
}

function fail(message, exitCode) {
  endLog()
  process.stderr.write(`${message}\n`)
  process.exit(exitCode)
}

let options
try {
  options = parseOptions(process.argv.slice(2))
} catch (error) {
  fail(`${error.message}\n${usage}`, 2)
}
if (options.help) process.stdout.write(`${usage}\n`)
else await run(options).catch((error) => fail(error.message, 1))
