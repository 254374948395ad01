// Damages inputs: bytes, texts and JSON values. Owns what damage there is; knows no format.

const integers = [0n, 1n, 2n, 127n, 255n, 2n ** 15n, 2n ** 16n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 40n]
const largeIntegers = [...integers, 2n ** 53n - 1n, 2n ** 53n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]

/** Damages bytes; at most about `most` of them come out. Damage is near the beginning more often than far from it. */
export function mutateBytes(random, bytes, most = 2 ** 20) {
  let mutated = bytes
  for (let n = random.few(6); n > 0; n--) mutated = mutateOnce(random, mutated)
  return mutated.length > most ? mutated.subarray(0, most) : mutated
}

function mutateOnce(random, bytes) {
  const at = random.chance(0.7) ? random.size(bytes.length) : random.below(bytes.length + 1)
  const length = Math.min(bytes.length - at, 1 + random.size(64))
  const [before, piece, after] = [bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at + length)]
  switch (random.below(9)) {
    case 0:
      return before
    case 1:
      return joined(before, after)
    case 2:
      return joined(before, randomBytes(random, length), piece, after)
    case 3:
      return joined(before, ...Array.from({ length: 1 + random.size(40) }, () => piece), after)
    case 4: {
      const from = random.below(bytes.length + 1)
      return joined(before, bytes.subarray(from, from + length), after)
    }
    case 5:
    case 6: {
      const value = random.pick(largeIntegers)
      const width = random.pick([1, 2, 4, 8])
      const copy = Uint8Array.from(bytes)
      for (let i = 0; i < width && at + i < copy.length; i++) copy[at + i] = Number((value >> BigInt(8 * i)) & 255n)
      return copy
    }
    default: {
      const copy = Uint8Array.from(bytes)
      if (copy.length > 0) copy[at % copy.length] = random.chance(0.5) ? random.below(256) : copy[at % copy.length] ^ (1 << random.below(8))
      return copy
    }
  }
}

const randomBytes = (random, length) => Uint8Array.from({ length }, () => random.bits() & 255)
const joined = (...parts) => new Uint8Array(Buffer.concat(parts))

const oddCharacters = [
  '\0',
  '\x1b[2J',
  '\u0085',
  '\u202e',
  '\ud83d',
  '\ude00',
  '😀',
  '\ufeff',
  'é',
  '\u2581',
  '\ue000',
  '\\',
  '"',
  "'",
  '\r\n',
]

/** Damages a text; `words` are those of its language. */
export function mutateText(random, text, words = [], most = 2 ** 18) {
  let mutated = text
  for (let n = random.few(8); n > 0; n--) {
    const at = random.below(mutated.length + 1)
    const length = Math.min(mutated.length - at, 1 + random.size(60))
    const [before, piece, after] = [mutated.slice(0, at), mutated.slice(at, at + length), mutated.slice(at + length)]
    switch (random.below(8)) {
      case 0:
        mutated = before + after
        break
      case 1:
        mutated = before + piece.repeat(1 + random.size(30)) + after
        break
      case 2:
        mutated = before + random.pick(oddCharacters) + piece + after
        break
      case 3: {
        const from = random.below(mutated.length + 1)
        mutated = before + mutated.slice(from, from + length) + piece + after
        break
      }
      case 4:
        mutated = before + String(random.pick(largeIntegers)) + after
        break
      default:
        mutated =
          words.length > 0 ? before + random.pick(words) + (random.chance(0.5) ? piece : '') + after : before + piece + piece + after
    }
    if (mutated.length > most) mutated = mutated.slice(0, most)
  }
  return mutated
}

const oddValues = [
  null,
  true,
  false,
  0,
  -1,
  1,
  0.5,
  -0,
  1e21,
  1e308,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  '',
  'x',
  '\0',
  '\ud800',
  '__proto__',
  '../x',
  [],
  {},
  [[]],
  [null],
]

/** Damages one or a few values of a JSON value, or their keys. The value itself stays as it is. */
export function mutateJson(random, value) {
  let mutated = structuredClone(value)
  for (let n = random.few(4); n > 0; n--) mutated = mutateValue(random, mutated, 0.02)
  return mutated
}

/** `whole`: how probable it is that all of the value is replaced. */
function mutateValue(random, value, whole = 0.1) {
  const isParent = typeof value === 'object' && value !== null && Object.keys(value).length > 0
  if (!isParent || random.chance(whole)) return replaced(random, value)
  const keys = Object.keys(value)
  const key = random.pick(keys)
  const action = random.below(12)
  if (action === 0) {
    if (Array.isArray(value)) value.splice(Number(key), 1)
    else delete value[key]
  } else if (action === 1 && !Array.isArray(value)) {
    const named = random.pick([...keys, '__proto__', 'constructor', 'toString', '', 'x'])
    Object.defineProperty(value, named, { value: value[key], enumerable: true, configurable: true, writable: true })
  } else if (action === 2 && Array.isArray(value)) {
    for (let n = 1 + random.size(50); n > 0; n--) value.push(structuredClone(value[Number(key)]))
  } else if (action === 3) value[key] = value[random.pick(keys)]
  else value[key] = mutateValue(random, value[key])
  return value
}

function replaced(random, value) {
  if (typeof value === 'string' && random.chance(0.5)) return mutateText(random, value, [], 4096)
  if (typeof value === 'number' && random.chance(0.5)) return value * random.pick([-1, 2, 0.5, 1e9]) + random.pick([0, 1, -1])
  if (random.chance(0.05)) return nested(random, value)
  return structuredClone(random.pick(oddValues))
}

function nested(random, value) {
  let outer = value
  for (let n = random.size(300); n > 0; n--) outer = random.chance(0.5) ? [outer] : { x: outer }
  return outer
}

/** The text of a damaged JSON value, now and then with damage to the text itself. */
export function mutateJsonText(random, value) {
  const text = JSON.stringify(random.chance(0.85) ? mutateJson(random, value) : value) ?? 'null'
  return random.chance(0.25) ? mutateText(random, text, ['{', '}', '[', ']', ',', ':', '"', '1e999', '\\u0000', '\\ud800']) : text
}
