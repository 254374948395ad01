// The child's side of a measured engine: one JSON request per line on stdin, one JSON reply per line on stdout. Pipes
// and not Node's own channel, so that the same file runs under Deno and Bun. Owns the protocol, and the clock of
// engines that run token by token.

import { createInterface } from 'node:readline'

/** Replies start with this, so that whatever else an engine prints is told apart. */
export const replyMark = '#reply '

const secondsSince = (start) => (performance.now() - start) / 1e3

/**
 * Serves requests until stdin ends. Seconds are the engine's alone, without the pipes.
 * @param {{
 *   load(options: { path: string, threads: number, contextLength: number }): Promise<void>,
 *   prefill(request: { ids: number[] }): Promise<{ seconds: number, picks: number[] }>,
 *   decode(request: { prompt: number[], ids: number[] }): Promise<{ seconds: number, picks: number[] }>,
 *   about(): object,
 *   close(): Promise<void>,
 * }} engine `picks` are the likeliest next tokens that it found on the way, where it says
 */
export async function serveEngine(engine) {
  const operations = {
    async load(options) {
      const start = performance.now()
      await engine.load(options)
      return { seconds: secondsSince(start), about: engine.about() }
    },
    prefill: engine.prefill,
    decode: engine.decode,
    async close() {
      await engine.close()
      return {}
    },
  }
  for await (const line of createInterface({ input: process.stdin })) {
    const { operation, ...request } = JSON.parse(line)
    const reply = await operations[operation](request).catch((error) => ({ error: error.stack ?? String(error) }))
    process.stdout.write(`${replyMark}${JSON.stringify(reply)}\n`)
  }
  process.exit()
}

/**
 * Prefill and decode of an engine that runs token by token.
 * @param {() => Promise<void>} clear forgets the context
 * @param {(prompt: number[]) => Promise<(id?: number) => Promise<number>>} continueFrom keeps what the context shares
 * with `prompt`, and
 *   returns a step: without an id it runs the rest of the prompt, with one it appends that token; it resolves to the
 * likeliest next token
 */
export function stepwise(clear, continueFrom) {
  return {
    async prefill({ ids }) {
      await clear()
      const start = performance.now()
      const step = await continueFrom(ids)
      const picks = [await step()]
      return { seconds: secondsSince(start), picks }
    },
    // The tokens are given, so that every engine does the same work; the pick that a user would have waited for is made
    // all the same.
    async decode({ prompt, ids }) {
      const step = await continueFrom(prompt)
      await step()
      const picks = []
      const start = performance.now()
      for (const id of ids) picks.push(await step(id))
      return { seconds: secondsSince(start), picks }
    },
  }
}

/** Name and version of the JavaScript runtime this process is. */
export function runtime() {
  const { bun, deno, node } = process.versions
  if (bun) return `Bun ${bun}`
  return deno ? `Deno ${deno}` : `Node ${node}`
}
