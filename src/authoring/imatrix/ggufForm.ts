// llama.cpp's form of an importance matrix as a GGUF. Owns its keys, its tensors and their checks:
//
//   general.type "imatrix", imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size
//   NAME.in_sum2 (matrices, columns)   float32: sums of squares
//   NAME.counts (matrices, 1)          float32: how many inputs each matrix had
//
// After tools/imatrix/imatrix.cpp in llama.cpp. Tensors of other endings, which newer programs add, are passed over.

import { MixtralError, quoted, shown } from '../../base/errors.js'
import type { ByteSource } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'
import type { GgufPlan } from '../../format/gguf/encodeHeader.js'
import { ggmlTypeByName } from '../../format/gguf/ggmlType.js'
import type { GgufTensor } from '../../format/gguf/gguf.js'
import { type GgufHeader, readHeader } from '../../format/gguf/readHeader.js'
import { fileValues, type Imatrix, type ImatrixEntry, matricesIn } from './imatrix.js'

const SUMS = '.in_sum2'
const COUNTS = '.counts'
/** The window that llama.cpp assumes where a file does not say its own. */
const USUAL_WINDOW = 512

/** The contents of a file. Throws `GGUF` and `IO`. */
export async function readGgufForm(source: ByteSource): Promise<Imatrix> {
  const header = await readHeader(source)
  const fail = (problem: string): never => {
    throw new MixtralError('GGUF', `${source.name}: ${problem} (importance matrix)`)
  }
  const type = header.metadata.get('general.type')
  if (type !== 'imatrix') fail(`general.type is ${shown(type)}, expected "imatrix"`)
  const names = [...header.tensors.keys()].filter((name) => name.endsWith(SUMS)).map((name) => name.slice(0, -SUMS.length))
  if (names.length < 1 || names.length > limits.imatrixEntries.most)
    fail(`${names.length} entries, expected 1 to ${limits.imatrixEntries.most}`)
  checkSizes(header, fail)
  const entries = new Map<string, ImatrixEntry>()
  for (const name of names) {
    const sumsTensor = header.tensors.get(name + SUMS)!
    const countsTensor = header.tensors.get(name + COUNTS) ?? fail(`tensor ${quoted(name + COUNTS)} is missing`)
    const sums = await floatsOf(source, sumsTensor, fail)
    const counts = await floatsOf(source, countsTensor, fail)
    const columns = sumsTensor.shape[0]!
    if (columns * counts.length !== sums.length)
      fail(`${quoted(name + COUNTS)} has ${counts.length} values, expected one for each ${columns} of the ${sums.length} sums`)
    entries.set(name, { columns, sums, counts })
  }
  const datasets = header.metadata.get('imatrix.datasets')
  return {
    entries,
    datasets: Array.isArray(datasets) ? datasets.filter((name) => typeof name === 'string') : [],
    windows: numberOf(header, 'imatrix.chunk_count') ?? 0,
    contextLength: numberOf(header, 'imatrix.chunk_size') ?? USUAL_WINDOW, // its counts are of tokens all the same
  }
}

function checkSizes({ tensors }: GgufHeader, fail: (problem: string) => never): void {
  let values = 0
  for (const { name, type, shape, bytes } of tensors.values()) {
    if (!name.endsWith(SUMS) && !name.endsWith(COUNTS)) continue
    if (type.name !== 'F32' || shape.length > 3)
      fail(`tensor ${quoted(name)} is ${type.name} of shape [${shape}], expected F32, at most 3-dimensional`)
    values += bytes / 4
  }
  if (values > limits.imatrixValues.most) fail(`${values} values, expected at most ${limits.imatrixValues.most}`)
}

function numberOf({ metadata }: GgufHeader, key: string): number | undefined {
  const value = metadata.get(key)
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined
}

async function floatsOf(source: ByteSource, { name, offset, bytes }: GgufTensor, fail: (problem: string) => never): Promise<Float64Array> {
  const data = await source.read(offset, bytes)
  const view = new DataView(data.buffer, data.byteOffset, bytes)
  const values = Float64Array.from({ length: bytes / 4 }, (_, i) => view.getFloat32(i * 4, true))
  const bad = values.findIndex((value) => !(value >= 0 && value < Number.POSITIVE_INFINITY))
  if (bad >= 0) fail(`value ${bad} of tensor ${quoted(name)} is ${values[bad]}, expected a finite number from 0`)
  return values
}

/** The header of a file, and the values of its tensors in the same order, sorted by name as llama.cpp does. */
export function planGgufForm(imatrix: Imatrix): { readonly plan: GgufPlan; readonly values: readonly Float32Array[] } {
  const { datasets, windows, contextLength } = imatrix
  const window = contextLength ?? USUAL_WINDOW
  // an old file counts windows
  const scale = contextLength === undefined ? window : 1
  const scaled = (name: string, values: Float64Array) =>
    fileValues(
      name,
      values.map((value) => value * scale),
    )
  const f32 = ggmlTypeByName('F32')!
  const tensors = [...imatrix.entries]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, entry]) => {
      const matrices = matricesIn(entry)
      return [
        { name: name + SUMS, type: f32, shape: [entry.columns, matrices], values: scaled(name, entry.sums) },
        { name: name + COUNTS, type: f32, shape: [1, matrices], values: scaled(name, entry.counts) },
      ]
    })
  return {
    plan: {
      metadata: [
        ['general.type', 'string', 'imatrix'],
        ['imatrix.datasets', 'array<string>', [...datasets]],
        ['imatrix.chunk_count', 'uint32', windows],
        ['imatrix.chunk_size', 'uint32', window],
      ],
      tensors,
    },
    values: tensors.map(({ values }) => values),
  }
}
