// A GGUF file that is being made, or a set of shards: headers are written, every tensor has its place, and the data may
// be written in any order. Owns the drafts, and that the files of a set get their names only when all of them are
// complete.

import path from 'node:path'
import { abortedError } from '../../base/errors.js'
import { checkDiskSpace, DraftFile, removeAbandoned } from '../../base/files/draftFile.js'
import { encodeHeader, type GgufPlan } from './encodeHeader.js'
import type { GgufTensor } from './gguf.js'
import { shardPath, shardPlans } from './shards.js'

export class GgufDraft {
  /** The tensors in the plan's order; `file` is an index of `files`. */
  readonly tensors: readonly GgufTensor[]
  readonly files: readonly DraftFile[]

  private constructor(tensors: readonly GgufTensor[], files: readonly DraftFile[]) {
    this.tensors = tensors
    this.files = files
  }

  /**
   * Creates the draft of `target`, or with `shardBytes` those of the set NAME-00001-of-00003.gguf and so on, whose
   * files have at most that many bytes of tensors each. Throws `IO` if the disk has too little room or a file cannot be
   * written, `GGUF` if the plan is impossible.
   */
  static async create(target: string, plan: GgufPlan, shardBytes?: number): Promise<GgufDraft> {
    const plans = shardBytes === undefined ? [plan] : shardPlans(plan, shardBytes)
    const headers = plans.map(encodeHeader)
    const bytes = headers.reduce((sum, { fileBytes }) => sum + fileBytes, 0)
    const names = headers.map((_, n) => (shardBytes === undefined ? target : shardPath(target, n, headers.length)))
    for (const name of names) await removeAbandoned(name) // they may be what fills the disk
    await checkDiskSpace(target, path.dirname(target), bytes)
    const files: DraftFile[] = []
    try {
      for (const [n, header] of headers.entries()) {
        const file = await DraftFile.create(names[n]!, header.fileBytes)
        files.push(file)
        await file.write(header.bytes, 0)
      }
    } catch (error) {
      for (const file of files) await file.discard()
      throw error
    }
    return new GgufDraft(
      headers.flatMap(({ tensors }, file) => tensors.map((tensor) => ({ ...tensor, file }))),
      files,
    )
  }

  /**
   * Gives the files their names. The first shard is last: without it the others are no model. Throws `ABORTED` if the
   * signal fires while the disk takes the last bytes, which of large files it may do for minutes.
   */
  async publish(signal?: AbortSignal): Promise<void> {
    for (const file of this.files) await file.seal()
    if (signal?.aborted) throw abortedError(signal)
    for (const file of [...this.files].reverse()) await file.publish()
  }

  /** Removes the drafts that were not published. */
  async discard(): Promise<void> {
    for (const file of this.files) await file.discard()
  }
}
