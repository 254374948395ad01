// Preloaded into the command: sends the process Ctrl-C as soon as the loaded model begins to generate.

import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  const { MixtralModel } = await import('../../../dist/text/generate/mixtralModel.js')
  const { stream } = MixtralModel.prototype
  MixtralModel.prototype.stream = function (...call) {
    setImmediate(() => process.kill(process.pid, 'SIGINT'))
    return stream.apply(this, call)
  }
}
