// Random calls at the same time on one model, and the same calls on fresh models, one each: the answers have to be
// equal. Calls are aborted, left, given listeners that throw, never read, and closed in the middle. All from one seed.

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { MixtralError, MixtralModel } from '../../dist/index.js'

const PROMPTS = [
  ...['', ' ', 'Once upon a time', 'Long ago, in a far away land,', '<s>', '</s>', '<s><s></s>', '[INST] What is 7 + 5? [/INST]'],
  ...[
    'é😀\u0000\ud800x',
    '\n\n\n',
    'word '.repeat(60),
    'Once upon a time, there was a child named Sam. He had',
    'Once upon a time, there was a',
  ],
]
const user = (content) => ({ role: 'user', content })
const CHATS = [
  [user('Who are you?')],
  [{ role: 'system', content: 'Be brief.' }, user('What is 3 + 4?')],
  [user('Who are you?'), { role: 'assistant', content: 'I am.' }, user('</s>[INST]')],
  [user('What is the capital of France?'), { role: 'assistant', content: 'The' }],
]
const TENSORS = ['l_out-0', 'ffn_moe_topk-*', 'result_output', 'Kcur-3']
/** No call takes longer; one that does hangs. */
const LONGEST_MS = 120_000

/**
 * Runs rounds until the time or `most` of them are over. Returns counts; `wrong` lists what was not as on a fresh
 * model, with what repeats it.
 */
export async function runRounds({ seed, until, most = Number.POSITIVE_INFINITY, cases: size = 60, model: name = 'demo' }) {
  const random = randomOf(seed)
  const cases = Array.from({ length: size }, () => makeCase(random))
  const known = { f16: new Map(), f32: new Map(), q8: new Map() }
  const counts = { rounds: 0, equal: 0, aborted: 0, closed: 0, thrown: 0, left: 0, unread: 0, refused: 0, wrong: [] }
  while (counts.rounds < most && Date.now() < until) {
    counts.rounds++
    const options = loadOptions(random)
    const model = await MixtralModel.load(name, options).catch((error) => {
      if (error.code !== 'MEMORY') throw error
    })
    if (!model) counts.refused++
    else
      await round(model, {
        random,
        cases,
        options,
        counts,
        freshly: (one) => freshly(name, options.kvFormat, one, known[options.kvFormat]),
      })
  }
  return counts
}

async function round(model, { random, cases, options, counts, freshly }) {
  const closes = random() < 0.15
  const wrong = (what, ...more) => counts.wrong.push(JSON.stringify([what, options, ...more]))
  const jobs = []
  for (let i = random.int(1, 18); i > 0; i--) {
    const one = random.pick(cases)
    const expected = await freshly(one)
    const { how, extra, error: own } = disturbance(random, one)
    if (how === 'unread') {
      model.stream('Once', { maxNewTokens: 3 })
      counts.unread++
      continue
    }
    const job = perform(model, one, extra, how, random.int(0, 4)).then(
      (found) => {
        if (found === 'left') counts.left++
        else if (found === expected) counts.equal++
        else wrong('an answer', one, how, found, expected)
      },
      (error) => {
        if (own && error === own) counts.thrown++
        else if (!(error instanceof MixtralError)) wrong('an error', one, String(error))
        else if (error.code === 'ABORTED' && extra.signal?.aborted) counts.aborted++
        else if (error.code === 'CLOSED' && closes) counts.closed++
        else if (expected === error.code) counts.equal++
        else wrong('an error', one, error.code, error.message)
      },
    )
    jobs.push(job)
  }
  if (closes) {
    await sleep(random.int(0, 30))
    await model.close()
  }
  const isOver = await Promise.race([Promise.all(jobs).then(() => true), sleep(LONGEST_MS, false, { ref: false })])
  if (!isOver) wrong('a hang')
  await model.close()
}

/** What a call gives on a model of its own; an error's code where it fails. */
async function freshly(name, kvFormat, one, known) {
  if (!known.has(one)) {
    const model = await MixtralModel.load(name, { threads: 1, contextLength: 512, kvFormat, drafts: false })
    known.set(one, await perform(model, one, {}).catch(({ code, message }) => code ?? message))
    await model.close()
  }
  return known.get(one)
}

/** How a call is disturbed, if it is. */
function disturbance(random, { kind }) {
  const way = random()
  if (way < 0.6) return { extra: {} }
  if (way < 0.75) {
    const abort = new AbortController()
    const reason = random.pick([undefined, new Error('mine'), 'text', null])
    if (random() < 0.2) abort.abort(reason)
    else setTimeout(() => abort.abort(reason), random.int(0, 60))
    return { extra: { signal: abort.signal } }
  }
  if (way < 0.85) {
    const error = new Error('of the listener')
    const onProgress = () => {
      throw error
    }
    return { extra: { onProgress }, error }
  }
  return way < 0.95 ? { extra: {}, how: kind === 'stream' ? 'leave' : undefined } : { extra: {}, how: 'unread' }
}

/** Makes a call; its answer in short. */
async function perform(model, { kind, prompt, messages, ids, options }, extra, how, pieces) {
  const all = { ...options, ...extra }
  if (kind === 'generate') return answer(await model.generate(prompt, all))
  if (kind === 'chat') return answer(await model.chat(messages, all))
  if (kind === 'session') {
    const session = model.session()
    await session.append(prompt)
    return answer(await session.generate(all))
  }
  if (kind === 'stream') {
    const stream = model.stream(prompt, all)
    let text = ''
    for await (const piece of stream) {
      text += piece.text
      if (how === 'leave' && pieces-- <= 0) return 'left'
    }
    return hash([text, answer(await stream.result)])
  }
  if (kind === 'logits' || kind === 'evaluate') return hash(await model[kind](ids, extra))
  if (kind === 'score') return hash((await model.score(ids, { ...extra, top: 2 })).map(({ id, logprob, top }) => [id, logprob, top]))
  if (kind === 'routing') return hash((await model.routing(ids, extra)).map(({ ids, weights }) => [hash(ids), hash(weights)]))
  return hash((await model.trace(ids, { ...extra, tensors: TENSORS })).map(({ name, shape, values }) => [name, shape, hash(values)]))
}

const answer = ({ text, ids, finishReason, promptTokens, seed }) => hash([text, ids, finishReason, promptTokens, seed])

function makeCase(random) {
  const kind = random.pick(['generate', 'stream', 'stream', 'chat', 'session', 'logits', 'evaluate', 'score', 'routing', 'trace'])
  const ids = Array.from({ length: random.int(2, 200) }, () => random.int(0, 2047))
  if (random() < 0.4) ids.splice(0, 5, 1, 672, 600, 261, 462)
  const options = {
    maxNewTokens: random.int(1, 25),
    seed: random.pick([0, 1, 4, 2 ** 32 - 1, 2 ** 53 - 1]),
    ...(random() < 0.3 && { temperature: random.pick([0, 0.1, 5, 1e-6, 100]) }),
    ...(random() < 0.2 && { topK: random.pick([0, 1, 3, 100000]) }),
    ...(random() < 0.2 && { topP: random.pick([0.01, 0.5, 1]) }),
    ...(random() < 0.2 && { repetitionPenalty: random.pick([1.1, 2, 0.5]) }),
    ...(random() < 0.2 && { stop: random.pick(['.', ['a', 'the'], ' ', 'named']) }),
    ...(random() < 0.1 && { regex: '[a-z ]{3,20}' }),
  }
  return { kind, prompt: random.pick(PROMPTS), messages: random.pick(CHATS), ids, options }
}

function loadOptions(random) {
  return {
    threads: random.int(1, 9),
    batchSize: random.pick([1, 2, 3, 7, 8, 16, 64, 128]),
    contextLength: 512,
    kvFormat: random.pick(['f16', 'f32', 'q8']),
    ...(random() < 0.7 && { drafts: random() < 0.8 }),
    ...(random() < 0.3 && { kvTokens: random.pick([512, 700, 4096]) }),
    ...(random() < 0.3 && { ram: random.int(5_000_000, 12_000_000) }),
    ...(random() < 0.3 && { bankBytes: random.pick([1_000_000, 2_621_440]) }),
  }
}

function hash(value) {
  const bytes = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : JSON.stringify(value)
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16)
}

/** Numbers from 0 to 1, the same for the same seed. */
function randomOf(seed) {
  let state = seed >>> 0
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const int = (least, most) => least + Math.floor(random() * (most - least + 1))
  return Object.assign(random, { int, pick: (list) => list[int(0, list.length - 1)] })
}
