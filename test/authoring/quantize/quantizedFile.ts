// What the suites here share: a folder, files as tensors with their bytes and values, and a model small enough to
// quantize in a moment. Not a test.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'
import type { Gguf } from '../../../dist/format/gguf/gguf.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { formats } from '../../../dist/format/quants/formats.js'
import { type Shape, type ShapeFileOptions, writeShapeModel } from '../../golden/shapeModel.js'

/** A folder that goes when the suite ends. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'mixtral-quantize-'))

  constructor() {
    afterAll(() => rmSync(this.path, { recursive: true }))
  }

  file(name: string): string {
    return join(this.path, name)
  }

  names(): string[] {
    return readdirSync(this.path).sort()
  }
}

/** A model file with the bytes and values of its tensors. */
export class ModelFile {
  readonly gguf: Gguf
  readonly #contents: readonly Buffer[]

  private constructor(gguf: Gguf) {
    this.gguf = gguf
    this.#contents = gguf.files.map(({ path }) => readFileSync(path))
  }

  static async open(path: string): Promise<ModelFile> {
    return new ModelFile(await openGguf(path))
  }

  /** Type names by tensor name. */
  get types(): Record<string, string> {
    return Object.fromEntries([...this.gguf.tensors.values()].map(({ name, type }) => [name, type.name]))
  }

  bytes(name: string): Buffer {
    const { file, offset, bytes } = this.gguf.tensors.get(name)!
    return this.#contents[file]!.subarray(offset, offset + bytes)
  }

  values(name: string): Float32Array {
    const { type, shape } = this.gguf.tensors.get(name)!
    const values = new Float32Array(shape.reduce((product, size) => product * size))
    formats.get(type.name)!.dequantize(this.bytes(name), values)
    return values
  }
}

/** The root mean square of the differences. */
export function rmsError(x: Float32Array, y: Float32Array): number {
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += (x[i]! - y[i]!) ** 2
  return Math.sqrt(sum / x.length)
}

export const demoF16 = fileURLToPath(new URL('../../golden/models/tiny-mixtral.F16.gguf', import.meta.url))

const small: Shape = {
  name: 'small',
  seed: 5,
  layers: 2,
  dim: 256,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
  ffn: 512,
  experts: 3,
  used: 2,
  vocab: 300,
  ropeTheta: 1e4,
  tokens: [1, 261, 290, 270, 299, 265, 280],
  routing: [],
  check: {},
}

/** Writes an F32 model of about 10 MB; returns its shape. */
export async function writeSmallModel(path: string, changes: Partial<Shape> = {}, options: ShapeFileOptions = {}): Promise<Shape> {
  const shape = { ...small, ...changes }
  await writeShapeModel(shape, path, options)
  return shape
}
