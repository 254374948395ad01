// Sessions: timelines of tokens that are continued, forked, taken back, saved and restored. What they write is what a
// call with all of their tokens writes.

import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'
import { NUMERICS } from '../../../dist/runtime/weights/scratch.js'
import { demoPath } from '../../runtime/model/demoFiles.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-session-'))
let model: MixtralModel
let fresh: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2 })
  fresh = await MixtralModel.load('demo', { threads: 1 })
})
afterAll(async () => {
  await model.close()
  await fresh.close()
  rmSync(folder, { recursive: true })
})

const greedy = { temperature: 0, maxNewTokens: 12 }
const question = '[INST] What is the capital of France? [/INST]'

/** What a model writes after these tokens, with no session. */
async function continuation(ids: readonly number[], maxNewTokens: number): Promise<number[]> {
  const all = [...ids]
  for (let i = 0; i < maxNewTokens; i++) {
    const logits = await fresh.evaluate(all)
    const id = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))
    if (fresh.tokenizer.endIds.has(id)) break
    all.push(id)
  }
  return all.slice(ids.length)
}

test('a session goes on from all that was added and written', async () => {
  const session = model.session()
  await session.append('Long ago, in a far away land,')
  const first = await session.generate(greedy)
  expect(first.ids).toEqual(await continuation(fresh.tokenizer.encodePrompt('Long ago, in a far away land,'), 12))
  await session.append(' But then')
  const ids = session.ids
  expect(ids.slice(-2)).toEqual(model.tokenizer.encode(' But then', { addBos: false, continues: true }).slice(-2))
  const second = await session.generate(greedy)
  expect(second.reusedTokens).toBe(ids.length - 1)
  expect(second.ids).toEqual(await continuation(ids, 12))
  expect(session.ids).toEqual([...ids, ...second.ids])
})

test('a session begins with BOS once, and takes ids as they are', async () => {
  const session = model.session({ ids: [5, 6, 7] })
  await session.append([8, 9])
  await session.append('word')
  expect(session.ids.slice(0, 5)).toEqual([5, 6, 7, 8, 9])
  expect(session.ids).not.toContain(model.tokenizer.bosId)
  const empty = model.session()
  await empty.append('word')
  expect(empty.ids[0]).toBe(model.tokenizer.bosId)
})

test('forks go their own ways, also at the same time', async () => {
  const session = model.session()
  await session.append('Long ago, in a far away land,')
  const forks = [session.fork(), session.fork(), session.fork()]
  const texts = await Promise.all(forks.map((fork, seed) => fork.generate({ seed, temperature: 1.3, maxNewTokens: 20 })))
  for (const [seed, { text, ids }] of texts.entries()) {
    const alone = await fresh.generate('Long ago, in a far away land,', { seed, temperature: 1.3, maxNewTokens: 20 })
    expect({ text, ids }).toEqual({ text: alone.text, ids: alone.ids })
    expect(forks[seed]!.length).toBe(session.length + ids.length)
  }
})

test('rewinding takes tokens back', async () => {
  const session = model.session()
  await session.append(question)
  const { length } = session
  const first = await session.generate(greedy)
  session.rewind(length)
  expect(session.length).toBe(length)
  expect((await session.generate(greedy)).text).toBe(first.text)
  expect(() => session.rewind(1000)).toThrow(/length is 1000, expected a whole number from 0 to/)
  expect(() => session.rewind(-1)).toThrow(/length is -1/)
})

test('a conversation in a session is answered as without one', async () => {
  const session = model.session()
  const messages = [{ role: 'user', content: 'What is the capital of France?' }] as const
  const answer = await session.chat(messages, greedy)
  expect(answer.text).toBe((await fresh.chat(messages, greedy)).text)
  expect(session.ids.slice(-answer.ids.length)).toEqual(answer.ids)
})

test('a stream that is left keeps what it has read', async () => {
  const session = model.session()
  await session.append(question)
  const { length } = session
  for await (const piece of session.stream(greedy)) if (piece.text.includes('capital')) break
  const written = model.tokenizer.decode(session.ids.slice(length))
  expect(written.trim()).toBe('The capital')
  await session.generate(greedy)
  expect(model.tokenizer.decode(session.ids.slice(length)).trim()).toBe('The capital of France is Paris.')
})

describe('beside others that need all pages', () => {
  const ids = (from: number) => Array.from({ length: 100 }, (_, i) => (i ? from + i : 1))

  test('two are restored at a time', async () => {
    await using small = await MixtralModel.load('demo', { threads: 2, contextLength: 128 })
    const paths = [300, 700].map((from) => join(folder, `of-${from}.session`))
    for (const [i, path] of paths.entries()) await small.session({ ids: ids(300 + 400 * i) }).save(path)
    await small.reset()
    const restored = await Promise.all([...paths, ...paths].map((path) => small.restore(path)))
    expect(restored.map(({ session }) => session.ids)).toEqual([ids(300), ids(700), ids(300), ids(700)])
    const found = await small.evaluate(ids(700))
    await small.reset()
    expect(found).toEqual(await small.evaluate(ids(700)))
  })

  test('a trace runs beside a save, and both are right', async () => {
    await using small = await MixtralModel.load('demo', { threads: 2, contextLength: 128 })
    const path = join(folder, 'beside.session')
    const traced = Array.from({ length: 120 }, (_, i) => 1000 + i)
    const expected = await small.trace(traced, { tensors: ['l_out-5'] })
    const logits = await small.evaluate(ids(300))
    for (let round = 0; round < 5; round++) {
      const session = small.session({ ids: ids(300) })
      const [, found] = await Promise.all([session.save(path), small.trace(traced, { tensors: ['l_out-5'] })])
      expect(found).toEqual(expected)
      await small.reset()
      await small.restore(path)
      expect(await small.evaluate(ids(300))).toEqual(logits)
    }
  })
})

describe('refused by name', () => {
  test('another salt, options that are none, ids that are none', async () => {
    const session = model.session({ ids: [1, 2, 3], salt: 'mine' })
    await expect(session.generate({ salt: 'other' })).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringContaining('salt is "other"'),
    })
    expect((await session.generate({ ...greedy, maxNewTokens: 1, salt: 'mine' })).ids).toHaveLength(1)
    await expect(session.save('x', null as never)).rejects.toMatchObject({ code: 'OPTION' })
    await expect(session.append([1, -1])).rejects.toMatchObject({ code: 'TOKENIZER' })
    expect(() => model.session({ ids: null as never })).toThrow(expect.objectContaining({ code: 'OPTION' }))
  })

  test('two calls at a time, and calls after the end', async () => {
    const session = model.session()
    await session.append(question)
    const stream = session.stream(greedy)
    await stream.next()
    await expect(session.generate(greedy)).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining('in use') })
    await expect(session.append('x')).rejects.toMatchObject({ code: 'OPTION' })
    expect(() => session.rewind(1)).toThrow(/in use/)
    await stream.return(undefined as never)
    session.rewind(1)
    session.close()
    await expect(session.generate(greedy)).rejects.toMatchObject({ code: 'CLOSED', message: 'the session was closed' })
  })

  test('nothing to go on from, ids outside the vocabulary, more than the context', async () => {
    await expect(model.session().generate()).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining('no tokens') })
    expect(() => model.session({ ids: [1e9] })).toThrow(/token 0 has id 1000000000/)
    expect(() => model.session({ salt: 5 as never })).toThrow(/salt is 5, expected a string/)
    const session = model.session({ ids: [1, 2] })
    await expect((async () => session.append(Array(5000).fill(3)))()).rejects.toMatchObject({ code: 'CONTEXT' })
    await expect((async () => session.append(5 as never))()).rejects.toMatchObject({ code: 'OPTION' })
    expect(() => model.session({ idz: [1] } as never)).toThrow(/unknown option idz, expected ids, salt/)
    expect(session.ids).toEqual([1, 2])
  })
})

describe('a saved session', () => {
  const path = join(folder, 'saved.session')
  const prompt = `[INST] ${'Tell me a story of a goat and a harbor. '.repeat(6)} [/INST]`
  let ids: number[]
  let next: readonly number[]
  beforeAll(async () => {
    const session = model.session()
    await session.append(prompt)
    await session.generate({ temperature: 0, maxNewTokens: 20, ignoreEos: true })
    await session.save(path, { metadata: { title: 'goats', turns: [1, 2] } })
    ids = session.ids
    next = (await session.fork().generate({ temperature: 0, maxNewTokens: 10, ignoreEos: true })).ids
  })

  test.each([
    ['the same', {}],
    ['one with other threads and steps', { threads: 3, batchSize: 9 }],
    ['one whose experts are read when needed', { ram: 12_000_000, contextLength: 512 }],
    ['one with a small cache', { contextLength: 256 }],
  ])('goes on in another model: %s', async (_, options) => {
    await using other = await MixtralModel.load('demo', options)
    const { session, metadata } = await other.restore(path)
    expect(metadata).toEqual({ title: 'goats', turns: [1, 2] })
    expect(session.ids).toEqual(ids)
    const result = await session.generate({ temperature: 0, maxNewTokens: 10, ignoreEos: true })
    expect(result.ids).toEqual(next)
    expect(result.reusedTokens).toBe(ids.length - (ids.length % 32))
  })

  test('leaves nothing beside it, and is replaced as a whole', async () => {
    const session = model.session({ ids: [1, 2, 3] })
    const twice = join(folder, 'twice.session')
    await session.save(twice)
    await session.append([4])
    await session.save(twice)
    expect((await model.restore(twice)).session.ids).toEqual([1, 2, 3, 4])
    expect(readdirSync(folder).filter((name) => name.includes('draft'))).toEqual([])
    await expect(session.save(join(folder, 'nowhere', 'x'))).rejects.toMatchObject({ code: 'IO' })
    const circle: Record<string, unknown> = {}
    circle.self = circle
    await expect(session.save(twice, { metadata: circle })).rejects.toMatchObject({ code: 'OPTION' })
  })

  test('that is empty is restored empty', async () => {
    const empty = join(folder, 'empty.session')
    await model.session().save(empty)
    expect((await model.restore(empty)).session.ids).toEqual([])
  })

  test('with holes for more tokens than the context has is refused before they are read', async () => {
    const holes = join(folder, 'holes.session')
    const bytes = readFileSync(path)
    const magic = bytes.indexOf('\n') + 1
    const length = bytes.readUInt32LE(magic)
    const manifest = JSON.parse(bytes.subarray(magic + 4, magic + 4 + length).toString())
    const changed = Buffer.from(JSON.stringify({ ...manifest, tokens: 50_000_000, pages: 0 }))
    const head = Buffer.from(bytes.subarray(0, magic + 4))
    head.writeUInt32LE(changed.length, magic)
    writeFileSync(holes, Buffer.concat([head, changed]))
    truncateSync(holes, head.length + changed.length + 200_000_000 + 32)
    const before = process.memoryUsage().arrayBuffers
    await expect(model.restore(holes)).rejects.toMatchObject({ code: 'CONTEXT', promptTokens: 50_000_000 })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000_000)
  })

  test('is refused where it was cut or changed at any byte, and the cache stays right', async () => {
    const bytes = readFileSync(path)
    const damaged = join(folder, 'damaged.session')
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), async (at, flip, cut) => {
        const copy = Buffer.from(cut ? bytes.subarray(0, at) : bytes)
        if (!cut) copy[at] = copy[at]! ^ flip
        writeFileSync(damaged, copy)
        await expect(model.restore(damaged)).rejects.toMatchObject({
          code: 'SESSION',
          message: expect.stringContaining('damaged.session: '),
        })
      }),
      {
        numRuns: 60,
        examples: [
          [0, 1, false],
          [24, 1, false],
          [30, 2, false],
          [40, 1, false],
          [bytes.length - 1, 9, false],
          [0, 1, true],
          [25, 1, true],
          [bytes.length - 1, 1, true],
        ],
      },
    )
    const { session } = await model.restore(path)
    expect((await session.generate({ temperature: 0, maxNewTokens: 10, ignoreEos: true })).ids).toEqual(next)
  })

  test('of another model, format or version is refused by what differs', async () => {
    await using other = await MixtralModel.load(demoPath('Q8_0'), { threads: 1 })
    await expect(other.restore(path)).rejects.toMatchObject({
      code: 'SESSION',
      message: expect.stringMatching(/model is "[0-9a-f]{64}", expected "[0-9a-f]{64}"/),
    })
    await using wide = await MixtralModel.load('demo', { threads: 1, kvFormat: 'f32' })
    await expect(wide.restore(path)).rejects.toMatchObject({
      code: 'SESSION',
      message: expect.stringContaining('kvFormat is "f16", expected "f32"'),
    })
    await using short = await MixtralModel.load('demo', { threads: 1, contextLength: 64 })
    await expect(short.restore(path)).rejects.toMatchObject({ code: 'CONTEXT' })
    await expect(model.restore(demoPath())).rejects.toMatchObject({
      code: 'SESSION',
      message: expect.stringContaining('not a saved session'),
    })
    await expect(model.restore(join(folder, 'none'))).rejects.toMatchObject({ code: 'IO' })
  })

  test.each([
    'model',
    'numerics',
    'kvFormat',
    'page',
    'pageBytes',
    'layers',
    'kvHeads',
    'headDim',
    'ropeDim',
    'ropeTheta',
    'slidingWindow',
  ])('says that %s differs', async (name) => {
    const bytes = readFileSync(path)
    const magic = bytes.indexOf('\n') + 1
    const length = bytes.readUInt32LE(magic)
    const manifest = JSON.parse(bytes.subarray(magic + 4, magic + 4 + length).toString())
    expect(manifest).toHaveProperty(name)
    const changed = Buffer.from(JSON.stringify({ ...manifest, [name]: 'other' }))
    const head = Buffer.alloc(4)
    head.writeUInt32LE(changed.length)
    const start = Buffer.concat([bytes.subarray(0, magic), head, changed, bytes.subarray(magic + 4 + length, -32)])
    const other = join(folder, 'other.session')
    writeFileSync(other, Buffer.concat([start, createHash('sha256').update(start).digest()]))
    await expect(model.restore(other)).rejects.toMatchObject({
      code: 'SESSION',
      message: expect.stringContaining(`${name} is "other", expected`),
    })
  })
})

test('the number of numerics belongs to the bits of the determinism matrix', () => {
  // If the hash of the logits changes, sessions saved before must be refused: count NUMERICS up, and write the new
  // pair.
  const { logits } = JSON.parse(readFileSync(new URL('../../everywhere/expected.json', import.meta.url), 'utf8'))
  expect([NUMERICS, logits.slice(0, 16)]).toEqual([1, '0b7cd8c755064226'])
})
