// A bank: one shared WebAssembly memory with weights, as one thread sees it. Owns the views of its bytes and the
// thread's kernel instance on it. Does not know what lies where.

import { MixtralError } from '../../base/errors.js'
import type { Kernels, WasmMemory, WasmModule } from '../kernels/abi.js'
import { instantiate } from '../kernels/compile.js'

export interface Bank {
  readonly kernels: Kernels
  readonly bytes: Uint8Array
  readonly floats: Float32Array
  readonly ints: Int32Array
}

/** Reserves the memories. The system allocates their pages at the first write. Throws `MEMORY` if it refuses. */
export function createMemories(sizes: readonly number[]): WasmMemory[] {
  return sizes.map((bytes, index) => {
    const pages = Math.ceil(bytes / 65536)
    try {
      return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
    } catch (cause) {
      throw new MixtralError('MEMORY', `bank ${index} of ${sizes.length}: the system refused ${bytes} bytes`, { cause })
    }
  })
}

export function openBank(module: WasmModule, memory: WasmMemory): Bank {
  const { buffer } = memory
  return {
    kernels: instantiate(module, memory),
    bytes: new Uint8Array(buffer),
    floats: new Float32Array(buffer),
    ints: new Int32Array(buffer),
  }
}
