// Which answer, layer and token the pictures of experts show, and the colors that experts have in all of them.

import { computed, signal } from '@preact/signals'
import { path, routingOf } from '../state/library.js'

export const layer = signal(0)
export const chosenToken = signal<{ readonly message: string; readonly token: number } | undefined>(undefined)
/** Colors are not all that tells experts apart. */
export const showsNumbers = signal(false)

/** The answer that is looked at: that of the token, or the last one. */
export const lookedAt = computed(() => {
  const answers = path.value.filter(({ role }) => role === 'assistant')
  return answers.find(({ id }) => id === chosenToken.value?.message) ?? answers.at(-1)
})

export const shownRouting = computed(() => (lookedAt.value ? routingOf(lookedAt.value.id) : undefined))

/** Experts around the circle of colors. */
export function hueOf(expert: number, experts: number): number {
  return Math.round(25 + (360 / Math.max(experts, 1)) * expert) % 360
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}
