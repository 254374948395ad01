// The size of the report of `mixtral experts --html` where models are large, domains are many, or names are long.

import { expect, test } from 'vitest'
import { expertsReport, shownTokens } from '../../../dist/interfaces/cli/expertsReport.js'

interface Shape {
  readonly layers: number
  readonly experts: number
  readonly used: number
}

/** The report on a model of this shape, whose router knows no favorites. */
function reportOn(shape: Shape, domains: number, name = (i: number) => `domain ${i}`): string {
  const { layers, experts, used } = shape
  const shares = Array.from({ length: experts }, (_, e) => (1 + (e % 3)) / (2 * experts))
  const favorites = Array.from({ length: experts }, () => Array.from({ length: 5 }, (_, id) => ({ id, occurrences: 9, share: 0.25 })))
  const balance = { maxOverMean: 1.5, coefficientOfVariation: 0.4, effectiveExperts: 0.9 * experts, jainIndex: 0.86 }
  const layer = {
    ...{ shares, rankShares: Array.from({ length: used }, () => shares), firstRepeats: 0.25, anyRepeats: 0.5, entropy: 1.98, margin: 0.12 },
    ...{
      firstWeight: 0.61,
      balance,
      balancingLoss: 2.019,
      coactivation: [],
      nextLayer: undefined,
      vocabularySpecialization: 0.81,
      favorites,
    },
  }
  const figures = { tokens: 40_000, layers: Array.from({ length: layers }, () => layer), balancingLoss: 2.005 }
  const tokens = shownTokens(domains)
  const beginning = {
    tokens: Array.from({ length: tokens }, (_, i) => i),
    experts: Uint16Array.from({ length: tokens * layers * used }, (_, i) => (i * 7) % experts),
    weights: new Float32Array(tokens * layers * used).fill(1 / used),
  }
  const names = Array.from({ length: domains }, (_, i) => name(i))
  const keys = layers * experts
  return expertsReport({
    model: 'large',
    spell: (id) => `▁word${id}`,
    pieces: (ids) => ids.map((id) => ` word${id}`),
    statistics: {
      shape,
      contextLength: 512,
      domains: names.map((domain) => ({ ...figures, domain, beginning })),
      all: { ...figures, domain: 'all' },
      comparisons: names.flatMap((a, i) =>
        names
          .slice(i + 1)
          .map((b) => ({ domains: [a, b] as const, layers: Array.from({ length: layers }, () => ({ divergence: 0.1, p: 0.001 })) })),
      ),
      cache: { hitRates: Array.from({ length: keys }, (_, i) => i / keys), reached: Array.from({ length: keys }, (_, i) => i) },
      prediction: { fromUses: new Array<number>(layers).fill(0.3), fromLayerBefore: new Array<number>(layers).fill(0.5) },
    },
  })
}

const tokensIn = (report: string) => report.match(/<span class="token /g)!.length
const mapsIn = (report: string) => report.match(/<table class="heat">/g)!.length

test.each<[string, Shape, number, tokens: number, maps: number]>([
  ['Mixtral 8x7B and three domains, all that there is', { layers: 32, experts: 8, used: 2 }, 3, 1998, 4],
  ['Mixtral 8x22B and three domains, half of the tokens', { layers: 56, experts: 8, used: 2 }, 3, 999, 4],
  ['all experts of Mixtral 8x7B', { layers: 32, experts: 8, used: 8 }, 2, 500, 3],
  ['32 layers of 64 experts', { layers: 32, experts: 64, used: 8 }, 1, 100, 1],
  ['the demo model and a hundred domains, eight of them', { layers: 6, experts: 8, used: 2 }, 100, 2000, 9],
  ['Mixtral 8x7B and a hundred domains', { layers: 32, experts: 8, used: 2 }, 100, 496, 9],
])('a report has less than 500 kB: of %s', (_, shape, domains, tokens, maps) => {
  const report = reportOn(shape, domains)
  expect(Buffer.byteLength(report)).toBeLessThan(500_000)
  expect(tokensIn(report)).toBeGreaterThanOrEqual(tokens)
  expect(mapsIn(report)).toBe(maps)
  const left = domains - (maps === 1 ? 1 : maps - 1)
  if (left === 0) expect(report).not.toContain('not shown')
  else expect(report).toMatch(new RegExp(`${left} more domains are counted\\s+and not shown`))
})

test('a long name is cut', () => {
  const report = reportOn({ layers: 6, experts: 8, used: 2 }, 2, (i) => `${i}${'<b>'.repeat(30_000)}`)
  expect(Buffer.byteLength(report)).toBeLessThan(500_000)
  expect(report).toContain(`<bdi>0${'&lt;b&gt;'.repeat(25)}&lt;...</bdi>`)
  expect(report).not.toContain('<b>')
})

test('a layer may have thousands of experts', () => {
  expect(mapsIn(reportOn({ layers: 3, experts: 2048, used: 2 }, 7))).toBeGreaterThan(0)
})
