// The types of metadata values: their ids in the file and how a scalar is laid out. Shared by the reader and the
// writer, so that the two cannot disagree.

/** A type of one value; `array<...>` nests. An empty array of arrays is `array<array>`: the file says no more. */
export type GgufValueType = GgufScalarType | 'string' | 'array' | `array<${string}>`

/** The types of fixed size. */
export type GgufScalarType = keyof typeof scalars

interface Scalar {
  readonly id: number
  readonly bytes: number
  /** Reads a little-endian value: a number, or a bigint for an integer beyond 2^53. A `bool` is its byte, unchecked. */
  read(view: DataView, at: number): number | bigint
  write(view: DataView, at: number, value: number | bigint): void
}

const scalars = {
  uint8: small(0, 1, 'Uint8'),
  int8: small(1, 1, 'Int8'),
  uint16: small(2, 2, 'Uint16'),
  int16: small(3, 2, 'Int16'),
  uint32: small(4, 4, 'Uint32'),
  int32: small(5, 4, 'Int32'),
  float32: small(6, 4, 'Float32'),
  bool: small(7, 1, 'Uint8'),
  uint64: large(10, 'BigUint64'),
  int64: large(11, 'BigInt64'),
  float64: small(12, 8, 'Float64'),
}

function small(
  id: number,
  bytes: number,
  kind: 'Uint8' | 'Int8' | 'Uint16' | 'Int16' | 'Uint32' | 'Int32' | 'Float32' | 'Float64',
): Scalar {
  const get = `get${kind}` as const
  const set = `set${kind}` as const
  return { id, bytes, read: (view, at) => view[get](at, true), write: (view, at, value) => view[set](at, Number(value), true) }
}

function large(id: number, kind: 'BigUint64' | 'BigInt64'): Scalar {
  const get = `get${kind}` as const
  const set = `set${kind}` as const
  return {
    id,
    bytes: 8,
    read(view, at) {
      const value = view[get](at, true)
      const number = Number(value)
      return Number.isSafeInteger(number) ? number : value
    },
    write: (view, at, value) => view[set](at, BigInt(value), true),
  }
}

const ids: ReadonlyMap<number, GgufScalarType | 'string' | 'array'> = new Map([
  ...(Object.keys(scalars) as GgufScalarType[]).map((name) => [scalars[name].id, name] as const),
  [8, 'string'],
  [9, 'array'],
])

/** The type with this id, without the element type of arrays, which follows in the file; undefined if there is none. */
export function valueTypeById(id: number): GgufScalarType | 'string' | 'array' | undefined {
  return ids.get(id)
}

/** The id under which a type is stored. */
export function valueTypeId(type: GgufValueType): number {
  if (type === 'string') return 8
  return scalarOf(type)?.id ?? 9
}

/** The layout of a type of fixed size, or undefined for strings and arrays. */
export function scalarOf(type: GgufValueType): Scalar | undefined {
  return Object.hasOwn(scalars, type) ? scalars[type as GgufScalarType] : undefined
}
