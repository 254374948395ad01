// Keeps some `mixtral serve` processes of one model running, on ports that follow each other. One that dies is started
// again. SIGHUP restarts them one after the other: each finishes its answers while the others take what is new. SIGTERM
// and Ctrl-C end all, in the same good order.
//
// node examples/replicas/replicas.mjs [model] [replicas] [first port] [flags of mixtral serve]

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const [model = 'demo', count = '3', firstPort = '8081', ...flags] = process.argv.slice(2)
const command = fileURLToPath(new URL('interfaces/cli/main.js', import.meta.resolve('mixtral-wasm')))
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
/** Longer than `fail_timeout` in nginx.conf: so long nginx may take a replica for dead that is there again. */
const NOTICED = 6000
let isEnding = false

class Replica {
  constructor(port) {
    this.port = port
  }

  /** Resolves when it answers. */
  async start() {
    this.stops = false
    const child = spawn(process.execPath, [command, 'serve', model, '--port', `${this.port}`, '--no-log', ...flags], {
      stdio: ['ignore', 'ignore', 'inherit'],
      detached: true, // Ctrl-C is for this process, which passes it on
    })
    this.child = child
    this.ended = once(child, 'exit').then(([code, signal]) => this.end(code ?? signal))
    while (this.child === child && !(await this.isHealthy())) await pause(50)
    if (this.child === child) console.log(`${this.port} is ready, process ${child.pid}`)
  }

  async isHealthy() {
    const answer = await fetch(`http://127.0.0.1:${this.port}/health`).catch(() => undefined)
    await answer?.text()
    return answer?.ok ?? false
  }

  end(how) {
    console.log(`${this.port} has ended: ${how}`)
    this.child = undefined
    if (this.stops || isEnding) return
    // not at once: what ends at its start would do nothing else
    void pause(500).then(() => isEnding || this.start())
  }

  /** It takes nothing new from now on, finishes its answers, and ends. */
  async stop() {
    this.stops = true
    this.child?.kill('SIGTERM')
    await this.ended
  }
}

const replicas = Array.from({ length: Number(count) }, (_, i) => new Replica(Number(firstPort) + i))
let restarting = Promise.resolve()

process.on('SIGHUP', () => {
  restarting = restarting.then(async () => {
    for (const replica of replicas) {
      if (isEnding) return
      await replica.stop()
      await replica.start()
      if (replica !== replicas.at(-1)) await pause(NOTICED)
    }
    console.log('all have been restarted')
  })
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    isEnding = true
    await Promise.all(replicas.map((replica) => replica.stop()))
  })
}

await Promise.all(replicas.map((replica) => replica.start()))
