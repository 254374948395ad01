// Gives the rooms that experts are read into their pages of memory. A direct read is cut wherever two neighbouring pages are no neighbours in the machine, and some virtual disks take twice as
// long for it. A system with a past hands out scattered pages first, so pages of slots are taken before, which experts will fill anyway, and then those of all rooms in one go.

import type { Bank } from './bank.js'
import type { Plan } from './plan.js'

const PAGE = 4096
/** Bytes of slots that are taken first. */
const SCATTERED = 512 * 2 ** 20

/** Writes zeros to empty slots and rooms. */
export function takeStagingPages({ slots, scratch, rooms }: Plan, banks: readonly Bank[]): void {
  let left = SCATTERED
  for (const { bank, at, bytes } of slots) {
    const end = at + Math.min(bytes, left)
    for (let page = at; page < end; page += PAGE) banks[bank]!.bytes[page] = 0
    left -= end - at
  }
  const { at, bytes } = scratch.staging
  for (const bank of banks) bank.bytes.fill(0, at, at + rooms * bytes)
}
