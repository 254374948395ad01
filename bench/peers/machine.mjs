// What the numbers were measured on.

import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os'

/** Instruction sets that decide which kernels a native engine picks. */
const telling = ['avx2', 'avx_vnni', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_int8', 'asimddp', 'i8mm', 'sve']

export function describeMachine() {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    features: cpuFeatures(),
    memoryBytes: totalmem(),
    system: `${platform()} ${release()}`,
    loadAverage: loadavg()[0],
    date: new Date().toISOString().slice(0, 16),
  }
}

function cpuFeatures() {
  try {
    const flags = readFileSync('/proc/cpuinfo', 'utf8')
      .match(/^(?:flags|Features)\s*:(.*)/m)[1]
      .split(' ')
    return telling.filter((name) => flags.includes(name))
  } catch {
    return []
  }
}
