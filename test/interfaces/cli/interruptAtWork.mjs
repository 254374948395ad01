// Preloaded into the command: sends the process Ctrl-C as soon as the loaded model begins to generate or to be traced,
// has routed some windows, or begins its third repetition.

import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  const { MixtralModel } = await import('../../../dist/text/generate/mixtralModel.js')
  for (const [name, calls] of [
    ['stream', 1],
    ['traceEach', 1],
    ['reset', 3],
  ]) {
    const method = MixtralModel.prototype[name]
    let called = 0
    MixtralModel.prototype[name] = function (...call) {
      if (++called >= calls) setImmediate(() => process.kill(process.pid, 'SIGINT'))
      return method.apply(this, call)
    }
  }
  const { Engine } = await import('../../../dist/runtime/engine/engine.js')
  const { finish } = Engine.prototype
  let windows = 0
  Engine.prototype.finish = function (task, ...call) {
    if (task.routingTable && ++windows >= 4) setImmediate(() => process.kill(process.pid, 'SIGINT'))
    return finish.call(this, task, ...call)
  }
}
