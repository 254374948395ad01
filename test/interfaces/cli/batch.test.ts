import type { ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { chat, complete, linesIn, testFolder, writeInput } from '../batch/batchFiles.js'
import { mixtral } from './mixtral.js'

/** Several processes, each of which loads a model. */
const patient = { timeout: 90_000 }

const file = testFolder()
const input = file('in.jsonl')
writeInput(input, [chat('What is 7 + 5?', { temperature: 0 }), complete('Once upon a time'), chat('x', { temperature: -1 })])

function killWhen(child: ChildProcess, isTime: () => boolean, signal: NodeJS.Signals = 'SIGKILL'): void {
  const look = setInterval(() => {
    if (!isTime()) return
    clearInterval(look)
    child.kill(signal)
  }, 20)
  child.on('close', () => clearInterval(look))
}

/** Bytes of the chunks under way in a folder. */
function partsOf(folder: string): number {
  const parts = path.join(folder, 'parts')
  if (!existsSync(parts)) return 0
  return readdirSync(parts).reduce((sum, name) => sum + (statSync(path.join(parts, name), { throwIfNoEntry: false })?.size ?? 0), 0)
}

test('answers a file, tells how it went, and exits with 0 although a request is wrong', async () => {
  const { code, stdout, stderr } = await mixtral(['batch', input, file('out.jsonl')])
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
  expect(stderr).toMatch(/^3 requests in \d+\.\d s, \d+ tokens, [\d.]+ tokens\/s; of all 3, 1 are errors$/m)
  expect(linesIn(file('out.jsonl'))).toHaveLength(2)
  expect(linesIn(file('out.errors.jsonl'))).toHaveLength(1)
  const again = await mixtral(['batch', input, file('out.jsonl')])
  expect(again.stderr).toMatch(/^0 requests in .*; of all 3, 3 were there, 1 are errors$/m)
})

test('--json is one object', async () => {
  const { code, stdout, stderr } = await mixtral(['batch', input, file('json.jsonl'), '--errors', file('wrong.jsonl'), '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { batch, ...figures } = JSON.parse(stdout)
  expect(batch).toMatch(/^batch_/)
  expect(figures).toMatchObject({ requests: 3, done: 3, failed: 1, found: 0, completion_tokens: expect.any(Number) })
  expect(linesIn(file('wrong.jsonl'))).toHaveLength(1)
})

test('merge writes the order of the requests, and says what is missing', async () => {
  const parts = [file('a.jsonl'), file('b.jsonl')]
  for (const [i, part] of parts.entries()) await mixtral(['batch', input, part, '--shard', `${i + 1}/2`])
  const missing = await mixtral(['batch', 'merge', input, file('m.jsonl'), parts[0]!])
  expect(missing.code).toBe(1)
  expect(missing.stderr).toMatch(/^mixtral: 2 of 3 requests have no result, the first is that of .*in\.jsonl:2$/m)
  const merged = await mixtral(['batch', 'merge', input, file('m.jsonl'), ...parts])
  expect(merged).toMatchObject({ code: 0, stderr: '3 requests: 2 results, 1 errors\n' })
  expect(linesIn(file('m.jsonl')).map(({ custom_id }) => custom_id)).toEqual(['r0', 'r1'])
})

test('verify says right, or names the first line that is not', async () => {
  await mixtral(['batch', input, file('v.jsonl')])
  const right = await mixtral(['batch', 'verify', file('v.jsonl'), '--input', input])
  expect(right).toMatchObject({ code: 0, stdout: expect.stringMatching(/^right: 2 of 2 lines, \d+ tokens, .* tokens\/s\n$/) })
  writeFileSync(file('v.jsonl'), readFileSync(file('v.jsonl'), 'utf8').replace(/"tokens":\[\[(\d+)/, '"tokens":[[5'))
  const wrong = await mixtral(['batch', 'verify', file('v.jsonl'), '--input', input, '--sample', '100%'])
  expect(wrong).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/v\.jsonl:1: the result of "r\d": token 1 of the answer is 5, expected \d+$/m),
  })
  const json = await mixtral(['batch', 'verify', file('v.jsonl'), '--input', input, '--json'])
  expect(json.code).toBe(1)
  expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, wrong: { line: 1, custom_id: expect.any(String) } })
})

test.each([
  [['batch'], 'IN is missing'],
  [['batch', input, 'x', '--shard', '3/2'], '--shard is "3/2", expected a part of a number of parts'],
  [['batch', 'verify', 'x', '--input', 'y', '--sample', '0'], '--sample is "0", expected a part of all'],
  [['batch', 'verify', 'x'], '--input is missing'],
  [['batch', 'submit', input], '--queue is missing, expected --queue <address>, or MIXTRAL_QUEUE in the environment\n'],
  [['batch', 'submit', input, '--queue', 'http://me:secret@x'], 'begins with "http://", expected redis://, rediss:// or postgres://'],
])('wrong usage is told: %j', async (args, message) => {
  const { code, stderr } = await mixtral(args as string[])
  expect(code).toBe(2)
  expect(stderr).toContain(message)
})

test('an interrupted run goes on where it was', patient, async () => {
  writeInput(
    file('long.jsonl'),
    Array.from({ length: 24 }, (_, i) => complete(`Number ${i}`, { max_tokens: 20, ignore_eos: true })),
  )
  const output = file('long-out.jsonl')
  const child = mixtral(['batch', file('long.jsonl'), output], {
    atStart: (child) => killWhen(child, () => linesIn(output).length > 2, 'SIGINT'),
  })
  expect((await child).code).toBe(130)
  expect(linesIn(output).length).toBeLessThan(24)
  const { code, stderr } = await mixtral(['batch', file('long.jsonl'), output])
  expect(code).toBe(0)
  expect(stderr).toMatch(/of all 24, \d+ were there$/m)
  expect(linesIn(output)).toHaveLength(24)
})

test('a process that is killed at work changes no byte', patient, async () => {
  const from = file('killed-in.jsonl')
  writeInput(
    from,
    Array.from({ length: 40 }, (_, i) => complete(`Number ${i}`, { max_tokens: 8 })),
  )
  const merged = async (name: string, output: string) => {
    await mixtral(['batch', 'merge', from, file(name), output])
    return readFileSync(file(name), 'utf8')
  }
  await mixtral(['batch', from, file('whole.jsonl')])
  for (const output of [file('killed.jsonl'), file('killed/')]) {
    // it is killed once it has written something, so that there is something to go on from
    const written = () => linesIn(output).length > 2 || partsOf(output) > 500
    const killed = await mixtral(['batch', from, output], { atStart: (child) => killWhen(child, written) })
    expect(killed.code).toBeNull()
    if (!output.endsWith('/')) writeFileSync(output, '{"id":"batch_req_1","cust', { flag: 'a' })
    const { code, stderr } = await mixtral(['batch', from, output])
    expect(code).toBe(0)
    expect(stderr).toMatch(/of all 40, [1-9]\d* were there$/m)
    expect(await merged('killed-merged.jsonl', output)).toBe(await merged('whole-merged.jsonl', file('whole.jsonl')))
  }
})

test.each(['', 'merge', 'verify', 'submit', 'work', 'status', 'collect'])('mixtral batch %s --help has an example', async (name) => {
  const { code, stdout } = await mixtral(['batch', name, '--help'].filter(Boolean))
  expect(code).toBe(0)
  expect(stdout).toMatch(new RegExp(`Examples:\n(.*\n)*.*mixtral batch ${name}`))
})
