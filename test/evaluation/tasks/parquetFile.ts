// Parquet files made by hand, of rows that are all the same: a page with one text, and a page that repeats it any
// number of times in a few bytes. Format: github.com/apache/parquet-format; Thrift's compact protocol.

const varint = (value: number): number[] => (value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))])
const zigzag = (value: number) => varint(2 * value)

type Field = readonly [id: number, type: number, bytes: Uint8Array]
const number = (id: number, value: number, type = 5): Field => [id, type, Uint8Array.from(zigzag(value))]
const long = (id: number, value: number) => number(id, value, 6)
const text = (id: number, value: string): Field => [id, 8, Buffer.concat([Uint8Array.from(varint(value.length)), Buffer.from(value)])]
const struct = (id: number, fields: readonly Field[]): Field => [id, 12, bytesOf(fields)]
const list = (id: number, type: number, items: readonly Uint8Array[]): Field => {
  const head = items.length < 15 ? [(items.length << 4) | type] : [0xf0 | type, ...varint(items.length)]
  return [id, 9, Buffer.concat([Uint8Array.from(head), ...items])]
}

function bytesOf(fields: readonly Field[]): Uint8Array {
  let last = 0
  const parts = fields.map(([id, type, bytes]) => {
    const head = Uint8Array.of(((id - last) << 4) | type)
    last = id
    return Buffer.concat([head, bytes])
  })
  return Buffer.concat([...parts, Uint8Array.of(0)])
}

function page(header: readonly Field[], data: Uint8Array): Buffer {
  const [type, ...rest] = header
  return Buffer.concat([bytesOf([type!, number(2, data.length), number(3, data.length), ...rest]), data])
}

const BYTE_ARRAY = 6
const RLE_DICTIONARY = 8

/** Where the pages begin. */
const BEGIN = 4

interface Repeated {
  readonly rows: number
  readonly value: string
  readonly columns?: number
  /** How many values the pages say that they have. */
  readonly claimed?: number
}

/** A file of rows with one text in each of their columns, which are called `a0`, `a1`, and share their pages. */
export function repeatedRows({ rows, value, columns = 1, claimed = rows }: Repeated): Uint8Array {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(value.length)
  const dictionary = page([number(1, 2), struct(7, [number(1, 1), number(2, 0)])], Buffer.concat([length, Buffer.from(value)]))
  const run = Uint8Array.from([1, ...varint(2 * claimed), 0]) // of one bit each
  const data = page([number(1, 0), struct(5, [number(1, claimed), number(2, RLE_DICTIONARY), number(3, 3), number(4, 3)])], run)
  const chunk = Buffer.concat([dictionary, data])
  const names = Array.from({ length: columns }, (_, i) => `a${i}`)
  const schema = [
    bytesOf([text(4, 'root'), number(5, columns)]),
    ...names.map((name) => bytesOf([number(1, BYTE_ARRAY), number(3, 0), text(4, name), number(6, 0)])),
  ]
  const chunks = names.map((name) => {
    const metadata = [
      ...[number(1, BYTE_ARRAY), list(2, 5, [Uint8Array.from(zigzag(RLE_DICTIONARY))]), list(3, 8, [text(0, name)[2]])],
      ...[number(4, 0), long(5, rows), long(6, chunk.length), long(7, chunk.length)],
      ...[long(9, BEGIN + dictionary.length), long(11, BEGIN)],
    ]
    return bytesOf([long(2, BEGIN), struct(3, metadata)])
  })
  const group = bytesOf([list(1, 12, chunks), long(2, columns * chunk.length), long(3, rows)])
  const footer = bytesOf([number(1, 1), list(2, 12, schema), long(3, rows), list(4, 12, [group])])
  const end = Buffer.alloc(4)
  end.writeUInt32LE(footer.length)
  return Buffer.concat([Buffer.from('PAR1'), chunk, footer, end, Buffer.from('PAR1')])
}
