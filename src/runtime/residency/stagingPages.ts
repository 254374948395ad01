// Allocates the pages of the staging buffers, physically contiguous where possible. The system splits a direct read
// wherever two pages of the buffer are not contiguous in physical memory, and some virtual disks then take three times
// as long. A machine that has been running allocates scattered pages first, those that earlier processes freed: on
// Linux, up to an eighth of the memory. So pages of slots, which experts will fill anyway, are allocated first, and
// then those of all buffers at once. Owns this order. Does not know what is read.

import type { Bank } from '../weights/bank.js'
import type { Slot } from '../weights/bankLayout.js'
import type { Plan } from '../weights/plan.js'

const PAGE = 4096
/** Bytes of slots whose pages are allocated before those of the buffers. */
const SCATTERED = 2 * 2 ** 30
/** Bytes of these slots that a thread claims at a time. */
const SHARE = 16 * 2 ** 20

/** The part of a crew (team/crew.ts) that is needed here. */
interface Claims {
  readonly seat: number
  claim(): number
  barrier(): void
}

/** Writes zeros to empty slots, each thread to its share of them, and then to the staging buffers. */
export function allocateStagingPages({ slots, scratch, streaming }: Plan, banks: readonly Bank[], crew: Claims): void {
  const shares = sharesOf(slots)
  for (let share = shares[crew.claim()]; share; share = shares[crew.claim()]) {
    const { bytes } = banks[share.bank]!
    for (let page = share.at; page < share.at + share.bytes; page += PAGE) bytes[page] = 0
  }
  crew.barrier()
  if (crew.seat > 0 || !streaming) return
  const { at, bytes } = scratch.stagingBuffers
  for (const bank of banks) bank.bytes.fill(0, at, at + streaming.buffers * bytes)
}

function sharesOf(slots: readonly Slot[]): Slot[] {
  const shares: Slot[] = []
  let left = SCATTERED
  for (const { bank, at, bytes } of slots) {
    for (let start = 0; start < bytes && left > 0; start += SHARE) {
      const share = { bank, at: at + start, bytes: Math.min(SHARE, bytes - start, left) }
      shares.push(share)
      left -= share.bytes
    }
  }
  return shares
}
