// What the page knows of its server: whether it is there, its models, whether it wants a key. Looks again by itself
// while it is gone.

import { computed, signal } from '@preact/signals'
import { isThere, models, type ServedModel, setKey } from '../server/api.js'
import { Failure } from '../server/failure.js'
import { preferences } from './preferences.js'

export const served = signal<readonly ServedModel[]>([])
export const isGone = signal(false)
/** A request was refused for want of a key. */
export const wantsKey = signal(false)
/** Number of requests that were refused so. */
export const refusals = signal(0)
/** Why the models are unknown, where the server is there. */
export const trouble = signal('')

/** The one that requests ask for. */
export const model = computed<ServedModel | undefined>(
  () => served.value.find(({ id }) => id === preferences.value.model) ?? served.value[0],
)

const RETRY_MILLISECONDS = 3000

let timer: ReturnType<typeof setTimeout> | undefined

/** Asks for the models. Never throws. */
export async function connect(): Promise<void> {
  clearTimeout(timer)
  try {
    served.value = await models()
    isGone.value = false
    trouble.value = ''
    wantsKey.value = false
  } catch (error) {
    if (!(error instanceof Failure) || error.status !== 401) wantsKey.value = false
    note(error)
    if (error instanceof Failure && error.status > 0 && error.status !== 401) trouble.value = error.message
  }
}

/** Learns from a failure of any request. */
export function note(error: unknown): void {
  if (!(error instanceof Failure)) return
  if (error.status === 401) {
    refusals.value++
    wantsKey.value = true
  }
  if (error.status !== 0) return
  isGone.value = true
  lookAgain()
}

export async function giveKey(key: string, stays: boolean): Promise<void> {
  setKey(key, stays)
  await connect()
}

function lookAgain(): void {
  clearTimeout(timer)
  timer = setTimeout(async () => {
    if (await isThere()) await connect()
    else lookAgain()
  }, RETRY_MILLISECONDS)
}
