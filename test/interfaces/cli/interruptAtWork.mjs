// Preloaded into the command: sends the process Ctrl-C as soon as the loaded model begins to generate or to be traced.

import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  const { MixtralModel } = await import('../../../dist/text/generate/mixtralModel.js')
  for (const name of ['stream', 'traceEach']) {
    const method = MixtralModel.prototype[name]
    MixtralModel.prototype[name] = function (...call) {
      setImmediate(() => process.kill(process.pid, 'SIGINT'))
      return method.apply(this, call)
    }
  }
}
