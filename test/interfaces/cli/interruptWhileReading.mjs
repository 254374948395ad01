// Preloaded into the command: sends the process Ctrl-C while it parses a configuration, and lets that take long.

const { parse } = JSON
JSON.parse = (text, ...rest) => {
  if (String(text).includes('"architectures"')) {
    process.kill(process.pid, 'SIGINT')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000)
  }
  return parse(text, ...rest)
}
