// Which tokens the pages hold that may be shared: a tree over token ids, in which a node is a page and its place the
// tokens before it. A lookup is exact: it compares ids, not hashes. Owns the tree and the order of eviction; holds each
// of its pages in the pool (kvPool.ts).

import { PAGE_POSITIONS } from '../weights/pages.js'
import type { KvPool } from './kvPool.js'

export interface PrefixNode {
  readonly page: number
  /** The tokens of the page: PAGE_POSITIONS, or fewer where a sequence ended, and then the node has no children. */
  readonly ids: readonly number[]
  readonly parent: PrefixNode | undefined
  readonly children: Map<string, PrefixNode>
  /** When a sequence last began with it, in lookups. */
  lastUse: number
}

/** Where the sequences of one salt begin. It goes when it has neither pages nor sequences. */
export interface PrefixRoot extends PrefixNode {
  readonly salt: string
  sequences: number
}

/** What a sequence of ids shares with the tree. */
export interface Prefix {
  /** Nodes that are shared from their first token to their last. */
  readonly whole: readonly PrefixNode[]
  /** A node of which only the first `shared` tokens are. */
  readonly part: PrefixNode | undefined
  /** Tokens that are shared in all. */
  readonly length: number
}

export class PrefixTree {
  readonly #pool: KvPool
  /** A root for each salt: sequences of different salts share nothing. */
  readonly #roots = new Map<string, PrefixRoot>()
  /** Nodes without children: what may be evicted. */
  readonly #leaves = new Set<PrefixNode>()
  #lookups = 0
  #tokens = 0
  #pages = 0

  constructor(pool: KvPool) {
    this.#pool = pool
  }

  /** Tokens in the tree. */
  get tokens(): number {
    return this.#tokens
  }

  /** Pages in the tree. */
  get pages(): number {
    return this.#pages
  }

  /** Pages in the tree that no sequence uses. */
  get idlePages(): number {
    let idle = 0
    const visit = (node: PrefixNode) => {
      if (node.parent && this.#pool.holders(node.page) === 1) idle++
      for (const child of node.children.values()) visit(child)
    }
    for (const root of this.#roots.values()) visit(root)
    return idle
  }

  /** The node under which the first page of a sequence of this salt lies; `leave` it when the sequence ends. */
  enter(salt: string): PrefixRoot {
    const root = this.#roots.get(salt) ?? { salt, sequences: 0, page: -1, ids: [], parent: undefined, children: new Map(), lastUse: 0 }
    root.sequences++
    this.#roots.set(salt, root)
    return root
  }

  leave(root: PrefixRoot): void {
    root.sequences--
    this.#forget(root)
  }

  /**
   * What `ids` from `from` on, a multiple of PAGE_POSITIONS, share with the tree below `node`; at most up to `end`.
   * Counts as a use.
   */
  find(node: PrefixNode, ids: readonly number[], from: number, end: number): Prefix {
    const now = ++this.#lookups
    const whole: PrefixNode[] = []
    let at = from
    let here = node
    while (at + PAGE_POSITIONS <= end) {
      const child = here.children.get(keyOf(ids, at, at + PAGE_POSITIONS))
      if (!child) break
      child.lastUse = now
      whole.push(child)
      here = child
      at += PAGE_POSITIONS
    }
    let part: PrefixNode | undefined
    let shared = 0
    for (const child of here.children.values()) {
      const length = commonLength(child.ids, ids, at, end)
      if (length > shared) {
        part = child
        shared = length
      }
    }
    if (part) part.lastUse = now
    return { whole, part, length: at + shared - from }
  }

  /**
   * Puts a page with these tokens under a node, and holds it. Where there is such a node already, that one is returned,
   * and the page is not held: the caller uses the other's page. A node that only begins with what the new one has is
   * evicted if no sequence uses it.
   */
  insert(parent: PrefixNode, ids: readonly number[], page: number): PrefixNode {
    const key = keyOf(ids, 0, ids.length)
    const same = parent.children.get(key)
    if (same) return same
    for (const child of parent.children.values()) {
      const shared = commonLength(child.ids, ids, 0, ids.length)
      if (shared === ids.length) return child // the other holds these tokens and more
      const superseded = shared === child.ids.length && (child.page === page || this.#pool.holders(child.page) === 1)
      if (superseded) this.#remove(child)
    }
    const node: PrefixNode = { page, ids: [...ids], parent, children: new Map(), lastUse: this.#lookups }
    parent.children.set(key, node)
    this.#leaves.delete(parent)
    this.#leaves.add(node)
    this.#pool.share(page)
    this.#tokens += ids.length
    this.#pages++
    return node
  }

  /**
   * Frees the page that was used least recently of those that no sequence uses and nothing builds on. Whether there was
   * one.
   */
  evict(): boolean {
    let oldest: PrefixNode | undefined
    for (const leaf of this.#leaves) {
      if (this.#pool.holders(leaf.page) === 1 && (!oldest || leaf.lastUse < oldest.lastUse)) oldest = leaf
    }
    if (oldest) this.#remove(oldest)
    return oldest !== undefined
  }

  /**
   * Takes the node with this page out of the tree, if it lies right under `parent` and nothing builds on it. Whether it
   * was so.
   */
  remove(parent: PrefixNode, page: number): boolean {
    for (const child of parent.children.values()) {
      if (child.page !== page || child.children.size) continue
      this.#remove(child)
      return true
    }
    return false
  }

  /** Frees all pages that no sequence uses. */
  clear(): void {
    while (this.evict());
  }

  #remove(node: PrefixNode): void {
    const parent = node.parent!
    parent.children.delete(keyOf(node.ids, 0, node.ids.length))
    this.#leaves.delete(node)
    if (parent.parent && !parent.children.size) this.#leaves.add(parent)
    if (!parent.parent) this.#forget(parent as PrefixRoot)
    this.#tokens -= node.ids.length
    this.#pages--
    this.#pool.release(node.page)
  }

  #forget(root: PrefixRoot): void {
    if (!root.sequences && !root.children.size) this.#roots.delete(root.salt)
  }
}

/** Ids as text, two UTF-16 units each: equal texts are equal ids. */
function keyOf(ids: readonly number[], from: number, end: number): string {
  let key = ''
  for (let i = from; i < end; i++) key += String.fromCharCode(ids[i]! >>> 16, ids[i]! & 0xffff)
  return key
}

/** How many tokens of a node `ids` have from `from` on, before `end`. */
function commonLength(node: readonly number[], ids: readonly number[], from: number, end: number): number {
  const most = Math.min(node.length, end - from)
  let n = 0
  while (n < most && node[n] === ids[from + n]) n++
  return n
}
