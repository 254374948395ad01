// A memory with kernels on it that knows what a call may write: data lies between guards, and a write to anything
// except a call's declared outputs fails the test. Outputs start as 0xff bytes, so that one which is never written
// shows (NaN, -1). Free memory holds floats from 1 to 2, so that a stray read shows in the result, and sums over the
// end of a vector in the guard behind it.

import { describe, test } from 'vitest'
import type { KernelBuild, Kernels } from '../../../dist/runtime/kernels/abi.js'
import { compileBuild, hasRelaxedSimd, instantiate } from '../../../dist/runtime/kernels/compile.js'
import type { Encoders } from '../../../dist/runtime/kernels/encoders.js'
import { GRID_BYTES } from '../../../dist/runtime/kernels/gridTable.js'
import { expectSameBits } from './bits.js'

const GUARD = 64 // bytes on either side of whatever is placed
/** Where data begins, behind the kernels' grids. */
const START = GRID_BYTES + GUARD
const PAGE = 65536

/** A page of free memory. */
const free = new Uint8Array(Float32Array.from({ length: PAGE / 4 }, (_, i) => 1 + ((i * 0.618034) % 1)).buffer)

const relaxedSimd = await hasRelaxedSimd()

/** The suite once per kernel build; a build that the engine cannot run is shown as skipped. */
export function describeBuilds(suite: (build: KernelBuild) => void): void {
  describe('simd', () => suite('simd'))
  if (relaxedSimd) describe('relaxed-simd', () => suite('relaxed-simd'))
  else test.skip('relaxed-simd: this engine has none', () => {})
}

/** A test that `run` gives the same bits on both builds; skipped where the engine cannot run both. */
export function testBothBuilds(name: string, run: (bank: TestBank) => ArrayLike<number>): void {
  test.skipIf(!relaxedSimd)(`both builds give the same bits: ${name}`, () => {
    expectSameBits(run(new TestBank('relaxed-simd')), run(new TestBank('simd')), name)
  })
}

/** Bytes from `ptr` on that a kernel may write. */
export interface Region {
  readonly ptr: number
  readonly bytes: number
}

/** What is tested: a build of the kernels, or the encoders. */
type Tested = KernelBuild | 'encode'
type Exports<Build extends Tested> = Build extends 'encode' ? Encoders : Kernels

export class TestBank<Build extends Tested = KernelBuild> {
  readonly build: Build
  readonly #kernels: Exports<Build>
  readonly #bytes: Buffer
  #top = START

  /** `pages` of 64 KiB each. */
  constructor(build: Build, pages = 64) {
    this.build = build
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
    this.#kernels = instantiate(moduleOf(build), memory) as unknown as Exports<Build>
    this.#bytes = Buffer.from(memory.buffer, 0, pages * PAGE)
    this.#top = this.#bytes.length
    this.clear()
  }

  /** Forgets everything placed. */
  clear(): this {
    this.#bytes.set(free.subarray(GRID_BYTES), GRID_BYTES)
    for (let page = PAGE; page < this.#top; page += PAGE) this.#bytes.set(free, page)
    this.#top = START
    return this
  }

  /** Room for `bytes` of output, at a multiple of 16. */
  reserve(bytes: number): Region {
    const ptr = this.#top
    this.#top = Math.ceil((ptr + bytes) / 16) * 16 + GUARD
    if (this.#top > this.#bytes.length) throw new Error(`the test bank has ${this.#bytes.length} bytes, ${this.#top} are asked for`)
    this.#bytes.fill(0xff, ptr, ptr + bytes)
    return { ptr, bytes }
  }

  /** A copy of `data` in the bank. */
  place(data: ArrayBufferView): Region {
    const region = this.reserve(data.byteLength)
    this.#bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), region.ptr)
    return region
  }

  /** Runs a kernel, and throws if it wrote outside `outputs`. */
  call<Result>(outputs: readonly Region[], run: (kernels: Exports<Build>) => Result): Result {
    const end = this.#top + GUARD
    const before = Buffer.from(this.#bytes.subarray(0, end))
    const result = run(this.#kernels)
    let at = 0
    for (const { ptr, bytes } of [...outputs, { ptr: end, bytes: 0 }].sort((a, b) => a.ptr - b.ptr)) {
      if (before.compare(this.#bytes, at, ptr, at, ptr) !== 0) {
        while (before[at] === this.#bytes[at]) at++
        throw new Error(`a kernel wrote outside its outputs: byte ${at} was ${before[at]}, is ${this.#bytes[at]}`)
      }
      at = ptr + bytes
    }
    return result
  }

  /** A copy of a region's bytes. */
  bytes({ ptr, bytes }: Region): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#bytes.subarray(ptr, ptr + bytes))
  }

  /** A copy of a region as float32. */
  floats(region: Region): Float32Array {
    return new Float32Array(this.bytes(region).buffer)
  }
}

const modules = new Map<Tested, WebAssembly.Module>()

function moduleOf(build: Tested): WebAssembly.Module {
  const module = modules.get(build) ?? compileBuild(build)
  modules.set(build, module)
  return module
}
