// What the wire formats and the metrics tell of drafts: nothing where none has run.

import { expect, test } from 'vitest'
import { withServer } from './served.js'

const served = withServer({}, { drafts: true })

const ending = 'And they lived happily ever after.'
const prompt = `${ending} ${ending} And they`
const greedy = { prompt, temperature: 0, ignore_eos: true }

async function counters(): Promise<number[]> {
  const text = await (await fetch(`${served.server.url}/metrics`)).text()
  return ['drafted', 'accepted'].map((name) => Number(new RegExp(`^mixtral_${name}_tokens_total (\\d+)$`, 'm').exec(text)![1]))
}

test('usage, timings and metrics count the tokens that were drafted and that came', async () => {
  const [drafted, accepted] = (await counters()) as [number, number]
  const { usage } = await served.json('/v1/completions', { ...greedy, max_tokens: 60 })
  const { accepted_prediction_tokens: came, rejected_prediction_tokens: others } = usage.completion_tokens_details
  expect(came).toBeGreaterThan(30)
  const { timings } = await served.json('/completion', { ...greedy, n_predict: 60 })
  expect(timings.draft_n_accepted).toBeGreaterThan(30)
  expect(timings.draft_n).toBeGreaterThanOrEqual(timings.draft_n_accepted)
  expect(await counters()).toEqual([drafted + came + others + timings.draft_n, accepted + came + timings.draft_n_accepted])
  const { draftedTokens, acceptedTokens } = await served.status()
  expect([draftedTokens, acceptedTokens]).toEqual(await counters())
})

test('answers without drafts do not speak of them', async () => {
  const { usage } = await served.json('/v1/completions', { prompt: 'Once upon a time', max_tokens: 1 })
  expect(usage).not.toHaveProperty('completion_tokens_details')
  const { timings } = await served.json('/completion', { prompt: 'Once upon a time', n_predict: 1 })
  expect(Object.keys(timings).filter((name) => name.startsWith('draft'))).toEqual([])
})
