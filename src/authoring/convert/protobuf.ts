// The wire format of protocol buffers, as far as a SentencePiece model needs it: a message is a list of numbered
// fields. Owns lengths and limits; knows no message. A library for this would be a hundred times its size.

/** Thrown for bytes that are not a message. The caller adds the name of the file. */
export class WireError extends Error {}

/** One field: a whole number (a varint), the bits of a float, or the bytes of a string or of a message within. */
export interface Field {
  readonly number: number
  readonly value: number | Uint8Array
}

/** The fields of a message, in order. Throws WireError for bytes that are not a message. */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  const view = new DataView(message.buffer, message.byteOffset, message.length)
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[at++]
      if (byte === undefined) throw new WireError('ends within a number')
      value += (byte & 0x7f) * 2 ** shift // a negative one becomes a huge one, and is refused by its range
      if (byte < 0x80) return value
    }
    throw new WireError(`has a number of more than ten bytes before byte ${at}`)
  }
  const take = (length: number): number => {
    const start = at
    if (length > message.length - at)
      throw new WireError(`has a field of ${length} bytes at byte ${at}, but ends after ${message.length - at}`)
    at += length
    return start
  }
  while (at < message.length) {
    const key = varint()
    const number = Math.floor(key / 8)
    const kind = key % 8
    if (kind === 0) yield { number, value: varint() }
    else if (kind === 1) yield { number, value: view.getFloat64(take(8), true) }
    else if (kind === 2) {
      const length = varint()
      const start = take(length)
      yield { number, value: message.subarray(start, start + length) }
    } else if (kind === 5) yield { number, value: view.getFloat32(take(4), true) }
    else throw new WireError(`has a field of wire type ${kind} before byte ${at}, expected 0, 1, 2 or 5`)
  }
}
