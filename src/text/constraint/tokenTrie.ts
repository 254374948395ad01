// The texts of all tokens as a tree of bytes, laid flat: a node is followed by its children, and knows where its last
// descendant is. Built once per tokenizer. Owns which tokens are text at all; does not know what is allowed.

import type { Tokenizer } from '../tokenizer/tokenizer.js'

export class TokenTrie {
  readonly tokenizer: Tokenizer
  readonly vocabSize: number
  /** Bytes of the longest token. */
  readonly longest: number
  /** (nodes) the byte that leads to a node. Node 0 is the root. */
  readonly byteOf: Uint8Array
  /** (nodes) the node after the last descendant. */
  readonly endOf: Int32Array
  /** (nodes) bytes from the root. */
  readonly depthOf: Uint16Array
  /** (nodes) a token that ends at the node, -1 for none. */
  readonly tokenAt: Int32Array
  /** (vocabulary) the next token with the same text, -1 for none. */
  readonly sameText: Int32Array
  /**
   * (vocabulary / 32) tokens that begin with a space which is not theirs where they open a text: decoding takes it off.
   */
  readonly dropsSpace: Uint32Array
  /**
   * (vocabulary) the bytes of a token, undefined where it is no text: control and unknown tokens, and those that end an
   * answer.
   */
  readonly bytesOf: readonly (Uint8Array | undefined)[]

  constructor(tokenizer: Tokenizer) {
    this.tokenizer = tokenizer
    this.vocabSize = tokenizer.vocabSize
    const utf8 = new TextEncoder()
    this.dropsSpace = new Uint32Array(Math.ceil(this.vocabSize / 32))
    const texts: (Uint8Array | undefined)[] = []
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      const { piece, type } = tokenizer.token(id)
      const isText = (type === 'normal' || type === 'userDefined' || type === 'byte') && !tokenizer.endIds.has(id)
      const byte = type === 'byte' ? Number.parseInt(piece.slice(3, 5), 16) : undefined
      const bytes = byte === undefined ? utf8.encode(piece.replaceAll('\u2581', ' ')) : Uint8Array.of(byte)
      texts.push(isText && bytes.length > 0 ? bytes : undefined)
      if (type === 'normal' && bytes[0] === 0x20 && tokenizer.addSpacePrefix) this.dropsSpace[id >>> 5]! |= 1 << (id & 31)
    }
    this.bytesOf = texts
    this.longest = texts.reduce((longest, bytes) => Math.max(longest, bytes?.length ?? 0), 0)
    this.sameText = new Int32Array(this.vocabSize).fill(-1)
    const ids = texts.flatMap((bytes, id) => (bytes ? id : []))
    const order = sortedByText(texts, ids)
    const nodes = 1 + countNodes(texts, order)
    this.byteOf = new Uint8Array(nodes)
    this.endOf = new Int32Array(nodes).fill(nodes)
    this.depthOf = new Uint16Array(nodes)
    this.tokenAt = new Int32Array(nodes).fill(-1)
    this.#fill(order)
  }

  /** The bytes that a token adds to a text, at its beginning (`opens`) or later; undefined where it is no text. */
  textOf(id: number, opens: boolean): Uint8Array | undefined {
    const bytes = this.bytesOf[id]
    return opens && bytes && this.dropsSpace[id >>> 5]! & (1 << (id & 31)) ? bytes.subarray(1) : bytes
  }

  /** The child of a node by a byte, -1 for none. */
  child(node: number, byte: number): number {
    for (let child = node + 1; child < this.endOf[node]!; child = this.endOf[child]!) if (this.byteOf[child] === byte) return child
    return -1
  }

  /** The tokens in the order of their texts: each shares its first bytes with the path that is open. */
  #fill(order: readonly number[]): void {
    const path = [0]
    let node = 0
    let before = new Uint8Array()
    for (const id of order) {
      const bytes = this.bytesOf[id]!
      const shared = sharedLength(before, bytes)
      for (let depth = path.length - 1; depth > shared; depth--) this.endOf[path.pop()!] = node + 1
      for (let depth = shared; depth < bytes.length; depth++) {
        node++
        this.byteOf[node] = bytes[depth]!
        this.depthOf[node] = depth + 1
        path.push(node)
      }
      const end = path.at(-1)!
      this.sameText[id] = this.tokenAt[end]!
      this.tokenAt[end] = id
      before = bytes as Uint8Array<ArrayBuffer>
    }
  }
}

function sortedByText(texts: readonly (Uint8Array | undefined)[], ids: readonly number[]): number[] {
  // one character per byte, so that the order of strings is the order of bytes
  const keys = texts.map((bytes) => (bytes ? String.fromCharCode(...bytes) : ''))
  return [...ids].sort((a, b) => (keys[a]! < keys[b]! ? -1 : keys[a]! > keys[b]! ? 1 : a - b))
}

function countNodes(texts: readonly (Uint8Array | undefined)[], order: readonly number[]): number {
  let before = new Uint8Array()
  let nodes = 0
  for (const id of order) {
    const bytes = texts[id] as Uint8Array<ArrayBuffer>
    nodes += bytes.length - sharedLength(before, bytes)
    before = bytes
  }
  return nodes
}

function sharedLength(a: Uint8Array, b: Uint8Array): number {
  let length = 0
  while (length < a.length && length < b.length && a[length] === b[length]) length++
  return length
}
