// Gives the rooms that experts are read into their pages of memory. A direct read is cut wherever two neighbouring pages are no neighbours in the machine, and some virtual disks take three
// times as long for it. A system with a past hands out scattered pages first, those that processes before gave back (Linux keeps up to an eighth of its memory of them), so pages of slots are taken
// before, which experts will fill anyway, and then those of all rooms in one go.

import type { Bank } from '../weights/bank.js'
import type { Slot } from '../weights/bankFiller.js'
import type { Plan } from '../weights/plan.js'

const PAGE = 4096
/** Bytes of slots that are taken first. */
const SCATTERED = 2 * 2 ** 30
/** Of which a thread takes so many at a time. */
const SHARE = 16 * 2 ** 20

/** What claims shares, and tells when all are done: the team's crew. */
interface Claims {
  readonly seat: number
  claim(): number
  barrier(): void
}

/** Writes zeros to empty slots, of which every thread takes its share, and to the rooms. */
export function takeStagingPages({ slots, scratch, rooms }: Plan, banks: readonly Bank[], crew: Claims): void {
  const shares = sharesOf(slots)
  for (let share = shares[crew.claim()]; share; share = shares[crew.claim()]) {
    const { bytes } = banks[share.bank]!
    for (let page = share.at; page < share.at + share.bytes; page += PAGE) bytes[page] = 0
  }
  crew.barrier()
  if (crew.seat > 0) return
  const { at, bytes } = scratch.staging
  for (const bank of banks) bank.bytes.fill(0, at, at + rooms * bytes)
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
