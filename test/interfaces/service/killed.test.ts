// The command as a process, which is killed, or asked to end, in the middle of a batch and of an upload.

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mergeBatch, runBatch } from '../../../dist/batch.js'
import { MixtralModel } from '../../../dist/index.js'
import { complete, testFolder } from '../batch/batchFiles.js'
import { main } from '../cli/mixtral.js'
import { endless, until } from '../server/served.js'
import { begun, clientOf, contentOf, ended, filesIn, textOf } from './storing.js'

const file = testFolder()
const long = textOf(Array.from({ length: 40 }, (_, i) => complete(`${endless}${i}`, { max_tokens: 50, ignore_eos: true, seed: i })))

let whole: string
beforeAll(async () => {
  const model = await MixtralModel.load('demo', { threads: 2 })
  writeFileSync(file('in.jsonl'), long)
  await runBatch(model, file('in.jsonl'), file('out.jsonl'), { name: 'demo' })
  await mergeBatch(file('in.jsonl'), file('whole.jsonl'), [file('out.jsonl')])
  whole = readFileSync(file('whole.jsonl'), 'utf8')
  await model.close()
})

interface Command {
  readonly url: string
  /** Sends a signal, and waits for the end: the exit code, or the signal. */
  end(signal: NodeJS.Signals): Promise<number | string | null>
}

const children: ChildProcess[] = []
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
})

async function serveDemo(folder: string): Promise<Command> {
  const child = spawn(process.execPath, [main, 'serve', 'demo', '--port', '0', '--files', folder, '--threads', '1', '--no-log'])
  children.push(child)
  const over = new Promise<number | string | null>((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const urlIn = () => /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0]
  await Promise.race([until(() => urlIn() !== undefined), over])
  if (urlIn() === undefined) throw new Error(said)
  return {
    url: urlIn()!,
    end(signal) {
      child.kill(signal)
      return over
    },
  }
}

test('a server that is killed, and then asked to end, gives the bytes of a run without a break', async () => {
  const folder = file('store')
  let command = await serveDemo(folder)
  const { id } = await begun(clientOf(command), long, '/v1/completions')
  let done = 0
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    await until(async () => {
      const { request_counts: counts } = await clientOf(command).batches.retrieve(id)
      const isFurther = counts!.completed > done
      if (isFurther) done = counts!.completed
      return isFurther
    })
    expect(done).toBeLessThan(40)
    expect(await command.end(signal)).toBe(signal === 'SIGKILL' ? signal : 0)
    command = await serveDemo(folder)
  }
  const batch = await ended(clientOf(command), id)
  expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 40, completed: 40, failed: 0 } })
  expect(await contentOf(clientOf(command), batch.output_file_id)).toBe(whole)
  await command.end('SIGTERM')
}, 120_000)

test('an upload that a kill has cut leaves nothing, and a folder is not shared', async () => {
  const folder = file('cut')
  const command = await serveDemo(folder)
  await expect(serveDemo(folder)).rejects.toThrow('expected a folder for each')
  const asked = httpRequest(`${command.url}/v1/files`, {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=B' },
  })
  asked.on('error', () => {})
  asked.write(`--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n${'x'.repeat(300_000)}`)
  await until(() => filesIn(folder).length > 0)
  await command.end('SIGKILL')
  expect(filesIn(folder)).toHaveLength(1)
  const again = await serveDemo(folder)
  expect(filesIn(folder)).toEqual([])
  await again.end('SIGTERM')
}, 120_000)
