// Charts of a report, as SVG: bars of shares, and lines over layers or slots. Colors are classes, `d0` to `d7`, that
// the report's style knows. Pure.

import { type Html, html } from './html.js'

/** Colors of domains; more domains begin again. */
const COLORS = 8

interface Series {
  readonly name: string
  readonly values: readonly number[]
}

const [WIDTH, HEIGHT] = [320, 150]
const [TOP, RIGHT, BOTTOM, LEFT] = [8, 6, 20, 40]

const across = WIDTH - LEFT - RIGHT
const down = HEIGHT - TOP - BOTTOM
const digits = (value: number) => String(Math.round(value * 10) / 10)
const percent = (value: number) => `${digits(value * 100)} %`

/** The step of an axis from 0 to `most` that has three to six lines. */
function stepOf(most: number): number {
  const rough = most / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough * 0.999)!
}

/** What all charts have: lines across with their values, and a line where chance is. */
function frame(most: number, chance: number | undefined): { readonly y: (value: number) => string; readonly lines: Html } {
  const y = (value: number) => digits(TOP + down * (1 - Math.min(1, value / most)))
  const step = stepOf(most)
  const ticks = Array.from({ length: Math.floor(most / step + 1.001) }, (_, i) => i * step)
  const lines = html`${ticks.map(
    (tick) =>
      html`<path class="grid" d="M${LEFT} ${y(tick)}H${WIDTH - RIGHT}"/><text x="${LEFT - 4}" y="${digits(Number(y(tick)) + 4)}" text-anchor="end">${percent(tick)}</text>`,
  )}${chance !== undefined && html`<path class="chance" d="M${LEFT} ${y(chance)}H${WIDTH - RIGHT}"/>`}`
  return { y, lines }
}

/** Labels under a chart: as many of `count` as have room. */
function labels(count: number, at: (i: number) => number, name: (i: number) => string): Html[] {
  const every = Math.max(1, Math.ceil(count / 12))
  return Array.from({ length: Math.ceil(count / every) }, (_, n) => {
    const i = n * every
    return html`<text x="${digits(at(i))}" y="${HEIGHT - 5}" text-anchor="middle">${name(i)}</text>`
  })
}

interface Chart {
  /** What a reader of screens says. */
  readonly label: string
  readonly series: readonly Series[]
  /** The end of the axis of values. */
  readonly most: number
  readonly chance?: number | undefined
}

/** Bars of each series side by side, one group for each value. */
export function barChart({ label, series, most, chance }: Chart): Html {
  const groups = series[0]!.values.length
  const { y, lines } = frame(most, chance)
  const group = across / groups
  const bar = (group * 0.8) / series.length
  const bars = series.map(({ values }, s) => {
    const path = values.map((value, i) => {
      const x = LEFT + group * (i + 0.1) + bar * s
      return `M${digits(x)} ${y(0)}V${y(value)}h${digits(Math.max(bar - 0.4, 0.3))}V${y(0)}z`
    })
    return html`<path fill="${colorOf(s)}" d="${path.join('')}"/>`
  })
  const names = labels(
    groups,
    (i) => LEFT + group * (i + 0.5),
    (i) => String(i),
  )
  return html`<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">${lines}${bars}${names}</svg>`
}

interface LineChart extends Chart {
  /** The name of a place on the axis below. */
  readonly place?: (i: number) => string
}

/** A line for each series, with a point for each value where there are few. */
export function lineChart({ label, series, most, chance, place = String }: LineChart): Html {
  const count = Math.max(...series.map(({ values }) => values.length))
  const { y, lines } = frame(most, chance)
  const x = (i: number) => LEFT + 8 + (count > 1 ? ((across - 16) * i) / (count - 1) : (across - 16) / 2)
  const drawn = series.map(({ values }, s) => {
    const path = values.map((value, i) => `${i ? 'L' : 'M'}${digits(x(i))} ${y(value)}`)
    const points =
      count <= 40 && values.map((value, i) => html`<circle cx="${digits(x(i))}" cy="${y(value)}" r="2.4" fill="${colorOf(s)}"/>`)
    return html`<path class="line" stroke="${colorOf(s)}" d="${path.join('')}"/>${points}`
  })
  return html`<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">${lines}${drawn}${labels(count, x, place)}</svg>`
}

/** The names of series beside their colors, and of the dashed line. */
export function legend(names: readonly string[], chance?: string): Html {
  return html`<ul class="legend-list">${names.map(
    (name, s) =>
      html`<li><svg viewBox="0 0 26 12" aria-hidden="true"><path fill="${colorOf(s)}" d="M0 1h26v10H0z"/></svg><bdi>${name}</bdi></li>`,
  )}${
    chance !== undefined &&
    html`<li><svg class="chart" viewBox="0 0 26 12" aria-hidden="true"><path class="chance" d="M0 6h26"/></svg>${chance}</li>`
  }</ul>`
}

const colorOf = (series: number) => `var(--d${series % COLORS})`
