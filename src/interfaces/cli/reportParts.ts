// What sections of a report are made of: a heading, tables of figures, numbers in words. Pure.

import { type Html, html } from './html.js'

/** Differences are called such at this p-value. */
export const LEVEL = 0.05

/** The space does not break. */
export const percent = (part: number, places = 1) => `${(part * 100).toFixed(places)}\u00a0%`

/** The least and the largest of some values; one of them if they look the same. */
export function range(values: readonly number[], say: (value: number) => string): string {
  const [least, most] = [say(Math.min(...values)), say(Math.max(...values))]
  return least === most ? least : `${least} to ${most}`
}

/** A part of the report with its heading. */
export function section(id: string, title: string, ...content: readonly (Html | undefined | false)[]): Html {
  return html`<section aria-labelledby="${id}">
<h2 id="${id}">${title}</h2>
${content}
</section>`
}

type Cell = string | Html

interface TableParts {
  /** What a reader of screens says. */
  readonly label: string
  readonly head: readonly Cell[]
  /** A row's first cell is its name. */
  readonly rows: readonly (readonly Cell[])[]
}

/** A table of figures that scrolls where it is too wide. */
export function figuresTable({ label, head, rows }: TableParts): Html {
  const heads = head.map((name, i) => html`<th scope="col"${i === 0 && html` class="name"`}>${name}</th>`)
  const body = rows.map(
    ([name, ...cells]) => html`<tr><th scope="row" class="name">${name}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`,
  )
  return html`<div class="scroll" tabindex="0" role="group" aria-label="${label}"><table class="figures-table">
<thead><tr>${heads}</tr></thead><tbody>${body}</tbody></table></div>`
}
