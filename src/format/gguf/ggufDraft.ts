// A GGUF file in the making, or a set of shards: headers written, every tensor with its place, data to come from whoever makes it, in any order.
// Owns the drafts, and that a set gets its names only when all of it is there.

import path from 'node:path'
import { DraftFile } from '../../base/files/draftFile.js'
import { checkDiskSpace } from '../../base/files/outputChecks.js'
import { encodeHeader, type GgufPlan } from './encodeHeader.js'
import type { GgufTensor } from './gguf.js'
import { shardPath, shardPlans } from './shards.js'

export class GgufDraft {
  /** In the plan's order. `file` is the place in `files`. */
  readonly tensors: readonly GgufTensor[]
  readonly files: readonly DraftFile[]

  private constructor(tensors: readonly GgufTensor[], files: readonly DraftFile[]) {
    this.tensors = tensors
    this.files = files
  }

  /**
   * Begins `target`, or with `shardBytes` the set NAME-00001-of-00003.gguf and so on, whose files have at most that many bytes of tensors each.
   * Throws `IO` if the disk has no room for all of it or a file cannot be written, `GGUF` if the plan cannot be.
   */
  static async create(target: string, plan: GgufPlan, shardBytes?: number): Promise<GgufDraft> {
    const plans = shardBytes === undefined ? [plan] : shardPlans(plan, shardBytes)
    const headers = plans.map(encodeHeader)
    const bytes = headers.reduce((sum, { fileBytes }) => sum + fileBytes, 0)
    await checkDiskSpace(target, path.dirname(target), bytes)
    const files: DraftFile[] = []
    try {
      for (const [n, header] of headers.entries()) {
        const file = await DraftFile.create(shardBytes === undefined ? target : shardPath(target, n, headers.length), header.fileBytes)
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

  /** Gives the files their names, the first shard, without which the others are nothing, last. */
  async publish(): Promise<void> {
    for (const file of this.files) await file.seal()
    for (const file of [...this.files].reverse()) await file.publish()
  }

  /** Removes what has no name yet. */
  async discard(): Promise<void> {
    for (const file of this.files) await file.discard()
  }
}
