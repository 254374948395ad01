// The keys and values of all sequences: which pages each of them has, what it shares with others, and what must be
// copied before it may write. Pure bookkeeping over the pool and the prefix tree; the bytes are moved by the threads,
// which get tables and copies with each step. Everything here happens between steps.

import type { PageCopy } from '../model/step.js'
import { PAGE_POSITIONS, pagesOf } from '../weights/pages.js'
import { KvPool } from './kvPool.js'
import { type PrefixNode, type PrefixRoot, PrefixTree } from './prefixTree.js'

/** One timeline of tokens whose keys and values are in the cache. */
export interface Sequence {
  /** The tokens that have been run, in order. */
  readonly ids: readonly number[]
  /** The page of each PAGE_POSITIONS of them, and of those that the next step will write. */
  readonly table: readonly number[]
}

interface OwnSequence extends Sequence {
  readonly ids: number[]
  readonly table: number[]
  /** The node of each page that is in the tree, as far as they are. */
  readonly nodes: PrefixNode[]
  readonly root: PrefixRoot
}

export class KvCache {
  readonly #pool: KvPool
  readonly #tree: PrefixTree
  readonly #open = new Set<OwnSequence>()
  /** How often the cache was cleared: a part of every salt. */
  #era = 0

  /** @param positions tokens that all sequences together may have, shared ones counted once */
  constructor(positions: number) {
    this.#pool = new KvPool(pagesOf(positions))
    this.#tree = new PrefixTree(this.#pool)
  }

  /** How many pages there are. */
  get pages(): number {
    return this.#pool.pages
  }

  /** Pages that nobody holds, the tree neither. */
  get free(): number {
    return this.#pool.free
  }

  /** Pages that can be had: free ones, and those that only the tree holds. */
  get available(): number {
    return this.#pool.free + this.#tree.idlePages
  }

  /** Tokens that the prefix tree holds. */
  get prefixTokens(): number {
    return this.#tree.tokens
  }

  /** Sequences that are open. */
  get sequences(): number {
    return this.#open.size
  }

  /**
   * A sequence that begins with what the tree has of `ids`, at most the first `most`. Sequences of another salt share
   * nothing with it.
   */
  open(ids: readonly number[], most: number, salt = ''): Sequence {
    const sequence: OwnSequence = { ids: [], table: [], nodes: [], root: this.#tree.enter(`${this.#era} ${salt}`) }
    this.#open.add(sequence)
    this.adopt(sequence, ids, most)
    return sequence
  }

  /**
   * Takes on from the tree what it has of `ids` beyond what the sequence has; works at the end of a page. Returns how
   * many tokens that were.
   */
  adopt(of: Sequence, ids: readonly number[], most: number): number {
    const sequence = this.#own(of)
    const { length } = sequence.ids
    if (length % PAGE_POSITIONS || sequence.nodes.length * PAGE_POSITIONS !== length) return 0
    const found = this.#tree.find(sequence.nodes.at(-1) ?? sequence.root, ids, length, Math.min(most, ids.length))
    if (!found.length) return 0
    this.#drop(sequence, pagesOf(length)) // a page that was taken for what is found
    for (const node of found.whole) {
      this.#pool.share(node.page)
      sequence.table.push(node.page)
      sequence.nodes.push(node)
    }
    if (found.part) {
      this.#pool.share(found.part.page)
      sequence.table.push(found.part.page)
      // A last page that nobody else has is gone on with, and not copied.
      const whole = (length + found.length) % PAGE_POSITIONS === found.part.ids.length
      if (whole && this.#pool.holders(found.part.page) === 2) this.#tree.remove(found.part.parent!, found.part.page)
    }
    for (let i = 0; i < found.length; i++) sequence.ids.push(ids[length + i]!)
    return found.length
  }

  /**
   * Takes on what another sequence has of `ids` beyond what this one has, its last page too; at most the first `most`.
   * Both are of one salt. Returns how many tokens that were.
   */
  join(of: Sequence, other: Sequence, ids: readonly number[], most: number): number {
    const sequence = this.#own(of)
    const from = this.#own(other)
    const before = sequence.ids.length
    const length = Math.min(most, commonPrefix(from.ids, ids))
    if (length <= before || from.root !== sequence.root) return 0
    this.#drop(sequence, 0)
    for (const page of from.table.slice(0, pagesOf(length))) {
      this.#pool.share(page)
      sequence.table.push(page)
    }
    sequence.ids.length = 0
    for (let i = 0; i < length; i++) sequence.ids.push(ids[i]!)
    sequence.nodes.length = 0
    sequence.nodes.push(...from.nodes.slice(0, Math.floor(length / PAGE_POSITIONS)))
    return length - before
  }

  /** Pages that `extend` would take. */
  wanted(of: Sequence, tokens: number): number {
    const { ids, table } = this.#own(of)
    const fresh = Math.max(0, pagesOf(ids.length + tokens) - table.length)
    return fresh + (tokens > 0 && this.#sharedTail(this.#own(of)) !== undefined ? 1 : 0)
  }

  /**
   * Makes places for the next `tokens` tokens: pages that nobody else reads. Returns what must be copied first, or
   * undefined if there are not enough pages, even if all of the tree that is not in use is evicted. Where there is no
   * page for a copy of the last one, the sequence forgets the tokens that are on it. Call `copied` when the copies have
   * been made, or else `notCopied`.
   */
  extend(of: Sequence, tokens: number): PageCopy[] | undefined {
    const sequence = this.#own(of)
    let wanted = this.wanted(sequence, tokens)
    if (wanted > this.#pool.free) {
      if (wanted > this.available) {
        if (tokens > 0 && this.#takeTail(sequence)) wanted--
        if (wanted > this.available) wanted = this.#forgetTail(sequence, tokens)
        if (wanted > this.available) return undefined
      }
      while (wanted > this.#pool.free) this.#tree.evict()
    }
    const copies: PageCopy[] = []
    const tail = tokens > 0 ? this.#sharedTail(sequence) : undefined
    if (tail !== undefined) {
      const from = sequence.table[tail]!
      const to = this.#pool.take()!
      copies.push({ from, to }) // `from` stays held until it has been copied: nobody may write there before
      sequence.table[tail] = to
    }
    while (sequence.table.length < pagesOf(sequence.ids.length + tokens)) sequence.table.push(this.#pool.take()!)
    return copies
  }

  /** The copies that `extend` asked for have been made. */
  copied(copies: readonly PageCopy[]): void {
    for (const { from } of copies) this.#pool.release(from)
  }

  /** The copies that `extend` asked for have not been made: the sequence has its pages of before again. */
  notCopied(of: Sequence, copies: readonly PageCopy[]): void {
    const { table } = this.#own(of)
    for (const { from, to } of copies) {
      table[table.indexOf(to)] = from
      this.#pool.release(to)
    }
  }

  /** The next tokens have been run: their pages may be shared once they are full. */
  commit(of: Sequence, ids: readonly number[]): void {
    const sequence = this.#own(of)
    for (const id of ids) sequence.ids.push(id)
    for (let page = sequence.nodes.length; (page + 1) * PAGE_POSITIONS <= sequence.ids.length; page++) this.#offer(sequence, page)
  }

  /** Lets go of pages beyond the tokens that have been run. */
  trim(of: Sequence): void {
    const sequence = this.#own(of)
    this.#drop(sequence, pagesOf(sequence.ids.length))
  }

  /** Forgets the tokens from `length` on. */
  rewind(of: Sequence, length: number): void {
    const sequence = this.#own(of)
    if (length >= sequence.ids.length) return
    sequence.ids.length = length
    this.#drop(sequence, pagesOf(length))
    sequence.nodes.length = Math.min(sequence.nodes.length, Math.floor(length / PAGE_POSITIONS))
  }

  /**
   * A second sequence with the same tokens. Both go on by themselves; the first to write on a common page copies it.
   */
  fork(of: Sequence): Sequence {
    const { ids, table, nodes, root } = this.#own(of)
    const pages = table.slice(0, pagesOf(ids.length))
    for (const page of pages) this.#pool.share(page)
    this.#tree.enter(root.salt)
    const copy: OwnSequence = { ids: [...ids], table: pages, nodes: [...nodes], root }
    this.#open.add(copy)
    return copy
  }

  /** Ends a sequence. What it has run stays in the tree until its pages are wanted. */
  close(of: Sequence): void {
    const sequence = this.#own(of)
    if (sequence.nodes.length < pagesOf(sequence.ids.length)) this.#offer(sequence, sequence.nodes.length)
    this.#drop(sequence, 0)
    sequence.ids.length = 0
    sequence.nodes.length = 0
    this.#tree.leave(sequence.root)
    this.#open.delete(sequence)
  }

  /** Forgets what no open sequence has. Nothing of what is run or open now will be shared with later sequences. */
  clear(): void {
    this.#tree.clear()
    this.#era++
  }

  /** Puts a page of a sequence into the tree, or takes the tree's in its place. */
  #offer(sequence: OwnSequence, page: number): void {
    const parent = page ? sequence.nodes[page - 1] : sequence.root
    if (!parent) return
    const ids = sequence.ids.slice(page * PAGE_POSITIONS, (page + 1) * PAGE_POSITIONS)
    const mine = sequence.table[page]!
    const node = this.#tree.insert(parent, ids, mine)
    if (ids.length === PAGE_POSITIONS) sequence.nodes.push(node)
    if (node.page === mine) return
    this.#pool.share(node.page)
    sequence.table[page] = node.page
    this.#pool.release(mine)
  }

  /** The place in the table of the page that the next token is written on, if anybody else may read that page. */
  #sharedTail({ ids, table }: OwnSequence): number | undefined {
    if (ids.length % PAGE_POSITIONS === 0) return undefined
    const place = Math.floor(ids.length / PAGE_POSITIONS)
    return this.#pool.holders(table[place]!) > 1 ? place : undefined
  }

  /**
   * Takes the page that the next token is written on out of the tree, if beside the sequence only the tree holds it:
   * then no copy is needed. Whether it was so.
   */
  #takeTail(sequence: OwnSequence): boolean {
    const place = this.#sharedTail(sequence)
    if (place === undefined || this.#pool.holders(sequence.table[place]!) > 2) return false
    const parent = place ? sequence.nodes[place - 1] : sequence.root
    return parent !== undefined && this.#tree.remove(parent, sequence.table[place]!)
  }

  /** Lets go of a page that would have to be copied. Returns what `wanted` is then. */
  #forgetTail(sequence: OwnSequence, tokens: number): number {
    const place = this.#sharedTail(sequence)
    if (place !== undefined) this.rewind(sequence, place * PAGE_POSITIONS)
    return this.wanted(sequence, tokens)
  }

  /** Lets go of the pages from the `pages`-th of the table on. */
  #drop(sequence: OwnSequence, pages: number): void {
    while (sequence.table.length > pages) this.#pool.release(sequence.table.pop()!)
  }

  #own(sequence: Sequence): OwnSequence {
    if (!this.#open.has(sequence as OwnSequence)) throw new RangeError('the sequence is closed')
    return sequence as OwnSequence
  }
}

/** How many tokens two lists begin with in common. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0
  while (n < a.length && n < b.length && a[n] === b[n]) n++
  return n
}
