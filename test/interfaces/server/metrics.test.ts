import { expect, test } from 'vitest'
import { capital, withServer } from './served.js'

const served = withServer()

interface Metric {
  readonly type: string
  readonly values: Map<string, number>
}

/** A strict reader of Prometheus' text format 0.0.4: each family once, help and type before its samples. */
function parse(text: string): Map<string, Metric> {
  const metrics = new Map<string, Metric>()
  expect(text.endsWith('\n')).toBe(true)
  const lines = text.slice(0, -1).split('\n')
  let open = ''
  let help = ''
  for (const line of lines) {
    const [, kind, name, rest] = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/.exec(line) ?? []
    if (kind === 'HELP') help = name!
    else if (kind === 'TYPE') {
      expect([name, metrics.has(name!)]).toEqual([help, false])
      expect(['counter', 'gauge', 'histogram']).toContain(rest)
      open = name!
      metrics.set(open, { type: rest!, values: new Map() })
    } else {
      const [, sample, labels = '', value] = /^([a-zA-Z_:][\w:]*)(\{(?:\w+="[^"\\\n]*",?)+\})? (\S+)$/.exec(line) ?? []
      expect(sample, line).toBeDefined()
      const { type, values } = metrics.get(open)!
      if (type === 'histogram') expect(['_bucket', '_sum', '_count'].map((end) => open + end)).toContain(sample)
      else expect(sample).toBe(open)
      expect(Number.isFinite(Number(value)), line).toBe(true)
      values.set(sample!.slice(open.length) + labels, Number(value))
    }
  }
  return metrics
}

const scrape = async () => {
  const response = await fetch(`${served.server.url}/metrics`)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4')
  return parse(await response.text())
}
const value = (metrics: Map<string, Metric>, name: string, labels = '') => metrics.get(name)!.values.get(labels) ?? 0

test('counters rise by what a request did, with our names and those of llama-server', async () => {
  const before = await scrape()
  const ask = () => served.json('/v1/chat/completions', { temperature: 0, messages: capital })
  const [first, second] = [await ask(), await ask()]
  await fetch(`${served.server.url}/secret/path`)
  const after = await scrape()
  const rise = (name: string, labels = '') => value(after, name, labels) - value(before, name, labels)
  const cached = second.usage.prompt_tokens_details.cached_tokens
  expect(cached).toBeGreaterThan(0)
  expect(rise('mixtral_cached_tokens_total')).toBe(cached + first.usage.prompt_tokens_details.cached_tokens)
  expect(rise('mixtral_prompt_tokens_total') + rise('mixtral_cached_tokens_total')).toBe(28)
  expect([rise('mixtral_generated_tokens_total'), rise('llamacpp:tokens_predicted_total')]).toEqual([14, 14])
  expect(rise('mixtral_answers_total', '{reason="stop"}')).toBe(2)
  expect(rise('mixtral_requests_total', '{route="/v1/chat/completions",status="200"}')).toBe(2)
  expect(rise('mixtral_steps_total')).toBeGreaterThan(0)
  expect([...after.get('mixtral_requests_total')!.values.keys()].join()).not.toContain('secret')
})

test('gauges tell what runs, and histograms add up', async () => {
  const metrics = await scrape()
  expect(value(metrics, 'mixtral_kv_tokens')).toBe(2048)
  expect(value(metrics, 'mixtral_kv_free_tokens')).toBe(2048)
  expect(['mixtral_kv_usage_ratio', 'mixtral_sequences_running', 'mixtral_requests_inside'].map((name) => value(metrics, name))).toEqual([
    0, 0, 0,
  ])
  for (const [name, { type, values }] of metrics) {
    if (type !== 'histogram') continue
    const buckets = [...values].filter(([key]) => key.startsWith('_bucket')).map(([, count]) => count)
    expect(buckets, name).toEqual(buckets.toSorted((a, b) => a - b))
    expect(buckets.at(-1)).toBe(values.get('_count'))
  }
})

test('slashes at the ends of a path do not matter; routes in labels have no patterns; vLLM has a version, a ping and a load', async () => {
  const get = (path: string) => fetch(served.server.url + path)
  for (const path of ['/v1/models/', '//v1/models', '/v1/models']) {
    const response = await get(path)
    expect([path, response.status, (await response.json()).data?.length]).toEqual([path, 200, 1])
  }
  expect((await get('/v1/models/demo')).status).toBe(200)
  const chat = await served.json('//v1/chat/completions/', { temperature: 0, messages: capital })
  expect(chat.choices[0].finish_reason).toBe('stop')
  expect((await (await get('/version')).json()).version).toMatch(/^\d+\.\d+\.\d+/)
  expect((await get('/ping')).status).toBe(200)
  expect(await (await get('/load')).json()).toEqual({ server_load: 0 })
  expect(value(await scrape(), 'mixtral_requests_total', '{route="/v1/models/{id}",status="200"}')).toBe(1)
})

test('answers that nobody waited for count, with their tokens', async () => {
  const before = await scrape()
  const leaving = new AbortController()
  const body = JSON.stringify({ prompt: 'KING RICHARD III:\n', max_tokens: 500, ignore_eos: true, stream: true })
  const response = await served.post('/v1/completions', body, { signal: leaving.signal })
  const reader = response.body!.getReader()
  await reader.read()
  await reader.read()
  leaving.abort()
  await served.idle()
  await served.post('/v1/completions', { prompt: 'KING RICHARD III:\n', max_tokens: 500, ignore_eos: true, n: 2, timeout: 0.05 })
  const after = await scrape()
  const rise = (name: string, labels = '') => value(after, name, labels) - value(before, name, labels)
  expect([rise('mixtral_answers_total', '{reason="aborted"}'), rise('mixtral_answers_total', '{reason="timeout"}')]).toEqual([1, 2])
  expect(rise('mixtral_generated_tokens_total')).toBeGreaterThan(0)
})
