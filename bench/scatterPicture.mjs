// Draws points by two positive numbers, both on logarithmic axes, as SVG: a mark by kind, and a name beside each point
// that has one, where it covers the least. Knows nothing of what the numbers are.

const size = { width: 880, height: 680 }
const area = { left: 72, right: 24, top: 20, bottom: 56 }
const font = 'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"'
const letter = 6.9 // width of one, at 12 px
const radius = 4.5

/** Where a name may stand beside its point, best first. */
const places = [
  { dx: 8, dy: 4, anchor: 'start' },
  { dx: -8, dy: 4, anchor: 'end' },
  { dx: 7, dy: -6, anchor: 'start' },
  { dx: -7, dy: 15, anchor: 'end' },
  { dx: 7, dy: 15, anchor: 'start' },
  { dx: -7, dy: -6, anchor: 'end' },
  { dx: 0, dy: -9, anchor: 'middle' },
  { dx: 0, dy: 19, anchor: 'middle' },
  { dx: 10, dy: -18, anchor: 'start' },
  { dx: -10, dy: 26, anchor: 'end' },
  { dx: -10, dy: -18, anchor: 'end' },
  { dx: 10, dy: 26, anchor: 'start' },
]

/**
 * @param {{ x: number, y: number, kind: number, name?: string }[]} points
 * @param {{ x: Axis, y: Axis, kinds: { label: string, color: string, filled: boolean }[], title: string }} about
 * @typedef {{ label: string, from: number, to: number, ticks: number[] }} Axis
 */
export function scatterPicture(points, { x, y, kinds, title }) {
  const across = scale(x, area.left, size.width - area.right)
  const down = scale(y, size.height - area.bottom, area.top)
  const placed = points.map((point) => ({ ...point, px: across(point.x), py: down(point.y) }))
  const parts = [
    `<rect width="${size.width}" height="${size.height}" fill="#fff"/>`,
    ...x.ticks.map((tick) => gridLine(across(tick), area.top, across(tick), size.height - area.bottom)),
    ...y.ticks.map((tick) => gridLine(area.left, down(tick), size.width - area.right, down(tick))),
    ...x.ticks.map((tick) => text(across(tick), size.height - area.bottom + 18, 'middle', tick, '#444')),
    ...y.ticks.map((tick) => text(area.left - 8, down(tick) + 4, 'end', tick, '#444')),
    text((area.left + size.width - area.right) / 2, size.height - 14, 'middle', x.label, '#222'),
    `<g transform="rotate(-90)">${text(-(area.top + size.height - area.bottom) / 2, 16, 'middle', y.label, '#222')}</g>`,
    ...placed.map(({ px, py, kind }) => mark(px, py, kinds[kind])),
    ...names(placed),
    ...kinds.flatMap((kind, i) => legend(kind, i)),
  ]
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" role="img" font-size="12" ${font}>`
  return `${head}\n<title>${title}</title>\n${parts.join('\n')}\n</svg>\n`
}

function scale({ from, to }, start, end) {
  return (value) => start + ((end - start) * Math.log(value / from)) / Math.log(to / from)
}

const at = (value) => Number(value.toFixed(1))

function gridLine(x1, y1, x2, y2) {
  return `<path d="M${at(x1)} ${at(y1)}L${at(x2)} ${at(y2)}" stroke="#ddd"/>`
}

function text(x, y, anchor, content, color) {
  return `<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}" fill="${color}">${content}</text>`
}

function mark(x, y, { color, filled }) {
  return `<circle cx="${at(x)}" cy="${at(y)}" r="${radius}" fill="${filled ? color : 'none'}" stroke="${color}" stroke-width="1.5"/>`
}

function legend(kind, i) {
  const [x, y] = [size.width - area.right - 190, area.top + 20 + 20 * i]
  return [mark(x, y - 4, kind), text(x + 12, y, 'start', kind.label, '#222')]
}

/** Names one after the other, each where it covers least of marks and of the names before it. */
function names(points) {
  const boxes = points.map(({ px, py }) => ({ left: px - 6, right: px + 6, top: py - 6, bottom: py + 6 }))
  return points.flatMap(({ px, py, name }) => {
    if (name === undefined) return []
    const tried = places.map((place, rank) => {
      const box = boxOf(px + place.dx, py + place.dy, place.anchor, name)
      const outside = box.right > size.width - area.right || box.left < area.left ? 1e6 : 0
      return { place, box, cost: outside + rank + boxes.reduce((sum, other) => sum + overlap(box, other), 0) }
    })
    const { place, box } = tried.reduce((best, one) => (one.cost < best.cost ? one : best))
    boxes.push(box)
    return [text(px + place.dx, py + place.dy, place.anchor, name, '#222')]
  })
}

function boxOf(x, y, anchor, name) {
  const width = letter * name.length
  const left = anchor === 'start' ? x : anchor === 'end' ? x - width : x - width / 2
  return { left, right: left + width, top: y - 11, bottom: y + 3 }
}

function overlap(a, b) {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left)
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
  return width > 0 && height > 0 ? width * height : 0
}
