// Preloaded into the command: sends the process Ctrl-C as soon as it listens for it a second time. The first time it loads the model, the
// second time it runs it.

let listening = 0
process.on('newListener', (name) => {
  if (name === 'SIGINT' && ++listening === 2) setImmediate(() => process.kill(process.pid, 'SIGINT'))
})
