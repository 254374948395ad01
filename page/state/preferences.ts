// What a person has set, kept in the browser: sampling options, the model, what is open. Owns the options' names on the
// wire and their ranges. An option that is left empty is not sent, so that the server's own counts.

import { effect, signal } from '@preact/signals'

export interface OptionField {
  /** On the wire. */
  readonly name: string
  readonly label: string
  readonly help: string
  readonly least: number
  readonly most: number
  readonly whole?: boolean
}

export const OPTION_FIELDS: readonly OptionField[] = [
  { name: 'temperature', label: 'Temperature', help: '0 always takes the most likely token', least: 0, most: 100 },
  { name: 'max_tokens', label: 'Most tokens', help: 'of an answer', least: 1, most: 10_000_000, whole: true },
  { name: 'top_p', label: 'Top p', help: 'the likeliest tokens that make this much', least: 0, most: 1 },
  { name: 'top_k', label: 'Top k', help: 'this many of the likeliest; 0 is all', least: 0, most: 1_000_000, whole: true },
  { name: 'min_p', label: 'Min p', help: 'beside the likeliest token', least: 0, most: 1 },
  { name: 'seed', label: 'Seed', help: 'the same gives the same answer', least: 0, most: Number.MAX_SAFE_INTEGER, whole: true },
  { name: 'repetition_penalty', label: 'Repetition', help: '1 is none', least: 0.01, most: 10 },
  { name: 'frequency_penalty', label: 'Frequency', help: '0 is none', least: -2, most: 2 },
  { name: 'presence_penalty', label: 'Presence', help: '0 is none', least: -2, most: 2 },
]

export interface Preferences {
  /** By their names on the wire, as they were typed. */
  readonly options: Readonly<Record<string, string>>
  /** One on each line. */
  readonly stops: string
  readonly model: string
  readonly sidebar: boolean
  readonly panel: 'none' | 'settings' | 'experts'
  /** Beside the experts, the text of answers is colored by them. */
  readonly colored: boolean
  readonly theme: 'system' | 'light' | 'dark'
}

const KEY = 'mixtral-preferences'
const DEFAULTS: Preferences = { options: {}, stops: '', model: '', sidebar: true, panel: 'none', colored: true, theme: 'system' }

export const preferences = signal<Preferences>(stored())

export function set(change: Partial<Preferences>): void {
  preferences.value = { ...preferences.value, ...change }
}

/** Keeps what is set, and shows the theme. Call once. */
export function keepPreferences(): void {
  effect(() => {
    const text = JSON.stringify(preferences.value)
    document.documentElement.dataset.theme = preferences.value.theme
    try {
      localStorage.setItem(KEY, text)
    } catch {
      // lasts as long as the page
    }
  })
}

/** What is wrong with an option as it is typed; undefined for nothing. */
export function optionError({ least, most, whole = false }: OptionField, typed: string): string | undefined {
  if (typed.trim() === '') return undefined
  const value = Number(typed)
  if (Number.isFinite(value) && value >= least && value <= most && (!whole || Number.isInteger(value))) return undefined
  const bounds = most >= 1_000_000 ? `of at least ${least}` : `from ${least} to ${most}`
  return `expected a ${whole ? 'whole ' : ''}number ${bounds}`
}

/** The options as a request has them: only those that are set and right. */
export function requestOptions({ options, stops }: Preferences): Record<string, unknown> {
  const given = OPTION_FIELDS.flatMap((field) => {
    const typed = options[field.name] ?? ''
    return typed.trim() === '' || optionError(field, typed) ? [] : [[field.name, Number(typed)] as const]
  })
  const lines = stops.split('\n').filter((line) => line !== '')
  return { ...Object.fromEntries(given), ...(lines.length > 0 && { stop: lines }) }
}

function stored(): Preferences {
  try {
    const given = JSON.parse(localStorage.getItem(KEY) ?? '{}')
    const same = Object.entries(DEFAULTS).filter(([name, value]) => typeof given[name] === typeof value)
    const kept: Preferences = { ...DEFAULTS, ...Object.fromEntries(same.map(([name]) => [name, given[name]])) }
    const options = Object.entries(kept.options ?? {}).filter(([, value]) => typeof value === 'string')
    return { ...kept, options: Object.fromEntries(options) }
  } catch {
    return DEFAULTS
  }
}
