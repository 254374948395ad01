// Where a model's weights are: the GGUF with its header read. The threads read the weights themselves later, straight
// into the banks.

import { checkNames, checkText } from '../../base/errors.js'
import type { Gguf, GgufValue } from '../../format/gguf/gguf.js'
import { openGguf } from '../../format/gguf/openGguf.js'
import { type KnownFile, knownFiles } from './fileReader.js'

const opened = new WeakMap<Weights, readonly KnownFile[]>()

/** The files as they were when the header was read: what is read of them later must be of the same. */
export const openedFiles = (weights: Weights): readonly KnownFile[] => opened.get(weights)!

/** The weights of one model on disk. Holds no open file. */
export class Weights {
  readonly gguf: Gguf
  /** Throws `IO` for a file that is not there any more, or has another length. */
  constructor(gguf: Gguf) {
    this.gguf = gguf
    opened.set(this, knownFiles(gguf.files))
  }

  /** The file's keys and values. */
  get metadata(): ReadonlyMap<string, GgufValue> {
    return this.gguf.metadata
  }
}

export const WeightLoader = {
  /**
   * Opens a GGUF file, or the whole set if the path names one of its shards, and checks its header.
   * Throws `IO` if it cannot be read, `GGUF` if it is malformed, `ABORTED` and `OPTION`.
   * @example const weights = await WeightLoader.fromGguf('mixtral-8x7b.gguf')
   */
  async fromGguf(path: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Weights> {
    checkText('the path', path)
    checkNames(options, ['signal'])
    return new Weights(await openGguf(path, { ...options }))
  },
}
