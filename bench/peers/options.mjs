// The command line: what to measure, with what, how often.

import { parseArgs } from 'node:util'
import { fileNames, usualFiles } from './files.mjs'

export const usage = `usage: node peers.mjs [options]
  --files LIST         of ${fileNames.join(', ')} or paths of GGUF files (default: ${usualFiles.join(',')})
  --engines LIST       of mixtral-wasm, node-llama-cpp, wllama (default: mixtral-wasm,node-llama-cpp)
  --runtime COMMAND    run mixtral-wasm with this program, as in --runtime "deno run -A"; repeat it for a column each (default: this Node)
  --threads LIST       (default: 1,2)
  --prefill LIST       prompt lengths, 0 for none (default: 64,256,512)
  --depths LIST        tokens of context before decode, 0 for no decode (default: 16)
  --tokens N           decoded per repetition (default: 16)
  --repetitions N      of every prefill and decode, the engines taking turns (default: 5)
  --loads N            loads in fresh processes, the engines taking turns (default: 3)
  --llama-bench PATH   llama.cpp's own benchmark as one more column (it runs by itself, not in turns)
  --start-up           measure importing the library and the demo model's first token too, in fresh processes
  --quick              --prefill 64 --loads 1
  --json               one object on stdout instead of tables; progress is on stderr either way`

const engineNames = ['mixtral-wasm', 'node-llama-cpp', 'wllama']

/** Throws an Error with what was found and expected. */
export function parseOptions(args) {
  const text = { type: 'string' }
  const flag = { type: 'boolean', default: false }
  const { values } = parseArgs({
    args,
    options: {
      ...{ files: text, engines: text, threads: text, prefill: text, depths: text, tokens: text, repetitions: text, loads: text },
      ...{ runtime: { type: 'string', multiple: true }, 'llama-bench': text, 'start-up': flag, quick: flag, json: flag, help: flag },
    },
  })
  const numbers = (name, fallback, least) => {
    const list = values[name]?.split(',').map(Number) ?? fallback
    const bad = list.find((number) => !Number.isSafeInteger(number) || number < least)
    if (bad !== undefined) throw new Error(`--${name}: found ${values[name]}, expected whole numbers from ${least}`)
    return list.filter((number) => number > 0)
  }
  const number = (name, fallback) => {
    const [only, ...more] = numbers(name, [fallback], 1)
    if (more.length > 0) throw new Error(`--${name}: found ${values[name]}, expected one number`)
    return only
  }
  return {
    files: values.files?.split(',') ?? usualFiles,
    columns: columnsOf(values.engines?.split(',') ?? engineNames.slice(0, 2), values.runtime ?? [process.execPath]),
    threads: numbers('threads', [1, 2], 1),
    prefills: numbers('prefill', values.quick ? [64] : [64, 256, 512], 0),
    depths: numbers('depths', [16], 0),
    tokens: number('tokens', 16),
    repetitions: number('repetitions', 5),
    loads: number('loads', values.quick ? 1 : 3),
    llamaBench: values['llama-bench'],
    startUp: values['start-up'],
    json: values.json,
    help: values.help,
  }
}

/** One column per engine, and for mixtral-wasm per runtime: which file of engines/ to start with which command. */
function columnsOf(engines, runtimes) {
  const unknown = engines.find((name) => !engineNames.includes(name))
  if (unknown !== undefined) throw new Error(`--engines: found ${unknown}, expected ${engineNames.join(', ')}`)
  return engines.flatMap((engine) => {
    const commands = engine === 'mixtral-wasm' ? runtimes : [process.execPath]
    return commands.map((command) => {
      const script = engine.replace(/-(\w)\w*/g, (word, letter) => letter.toUpperCase() + word.slice(2))
      return { engine, script, command: command.split(' ') }
    })
  })
}
