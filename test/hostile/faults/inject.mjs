// Preloaded into a process and its threads: makes operations on files, requests and messages fail, the n-th of a kind
// as ordered. Operations on files count inside of one folder only. All threads share the counts. After SQLite's tests
// of input and output (sqlite.org/testing.html): an undisturbed run counts, then each operation fails in turn.

import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import path from 'node:path'
import timers from 'node:timers/promises'
import { getEnvironmentData, isMainThread, MessagePort, setEnvironmentData } from 'node:worker_threads'

export const operations = [
  'open',
  'read',
  'write',
  'truncate',
  'sync',
  'rename',
  'remove',
  'stat',
  'list',
  'folder',
  'fetch',
  'body',
  'message',
]
export const modes = ['error', 'short', 'delay', 'kill', 'kill-after']

const SLOTS = 2
const DELAY_MS = 15
/** Of each order: operation, count, mode, how often it was obeyed; then the counts of all operations. */
const state = getEnvironmentData('hostile-faults') ?? new Int32Array(new SharedArrayBuffer(4 * (4 * SLOTS + operations.length)))
if (isMainThread) setEnvironmentData('hostile-faults', state)
const counts = state.subarray(4 * SLOTS)
const folder = process.env.HOSTILE_FOLDER ?? '/nowhere'

/** Begins to count from 0, with at most two orders: `{ operation, index, mode }`. */
export function order(orders) {
  state.fill(0)
  for (const [n, { operation, index, mode }] of orders.entries()) {
    state.set([operations.indexOf(operation) + 1, index, modes.indexOf(mode) + 1, 0], 4 * n)
  }
}

/** Takes the orders back. Returns how many were obeyed, and the counts by operation. */
export function recall() {
  let obeyed = 0
  for (let n = 0; n < SLOTS; n++) {
    Atomics.store(state, 4 * n, 0)
    obeyed += Atomics.load(state, 4 * n + 3)
  }
  return { obeyed, counts: Object.fromEntries(operations.map((name, n) => [name, counts[n]])) }
}

/** Counts an operation. Returns how it is to fail, undefined if it is not. */
function ordered(operation) {
  const kind = operations.indexOf(operation)
  Atomics.add(counts, kind, 1)
  for (let n = 0; n < SLOTS; n++) {
    if (Atomics.load(state, 4 * n) !== kind + 1) continue
    if (Atomics.sub(state, 4 * n + 1, 1) !== 1) continue
    Atomics.add(state, 4 * n + 3, 1)
    return modes[state[4 * n + 2] - 1]
  }
  return undefined
}

const isWatched = (file) => typeof file === 'string' && (file === folder || file.startsWith(folder + path.sep))

function failure(operation, file) {
  const code = operation === 'write' || operation === 'truncate' ? 'ENOSPC' : 'EIO'
  return Object.assign(new Error(`${code}: injected, ${operation} '${file}'`), { code, syscall: operation, path: file })
}

const kill = () => process.kill(process.pid, 'SIGKILL')
const pause = new Int32Array(new SharedArrayBuffer(4))

/** An operation of `fs.promises` or of a file handle, as ordered. `shorter` changes the arguments of a short one. */
async function disturbed(operation, file, call, shorter) {
  const mode = ordered(operation)
  if (mode === 'error' || (mode === 'short' && !shorter)) throw failure(operation, file)
  if (mode === 'delay') await new Promise((resolve) => setTimeout(resolve, DELAY_MS))
  if (mode === 'kill') kill()
  const result = mode === 'short' ? await shorter() : await call()
  if (mode === 'kill-after') kill()
  return result
}

function disturbedSync(operation, file, call, shorter) {
  const mode = ordered(operation)
  if (mode === 'error' || (mode === 'short' && !shorter)) throw failure(operation, file)
  if (mode === 'delay') Atomics.wait(pause, 0, 0, DELAY_MS)
  if (mode === 'kill') kill()
  const result = mode === 'short' ? shorter() : call()
  if (mode === 'kill-after') kill()
  return result
}

const promised = {
  ...{ open: 'open', readFile: 'read', writeFile: 'write', rename: 'rename', rm: 'remove', unlink: 'remove', rmdir: 'remove' },
  ...{ stat: 'stat', lstat: 'stat', realpath: 'stat', statfs: 'stat', readdir: 'list', mkdir: 'folder' },
}
const synchronous = { openSync: 'open', statSync: 'stat', rmSync: 'remove', renameSync: 'rename', readdirSync: 'list', mkdirSync: 'folder' }

const files = new WeakMap()
for (const [name, operation] of Object.entries(promised)) {
  const original = fs.promises[name]
  fs.promises[name] = async (file, ...rest) => {
    if (!isWatched(file)) return original(file, ...rest)
    const result = await disturbed(operation, file, () => original(file, ...rest))
    if (name === 'open') files.set(result, file)
    return result
  }
}

const descriptors = new Map()
for (const [name, operation] of Object.entries(synchronous)) {
  const original = fs[name]
  fs[name] = (file, ...rest) => {
    if (!isWatched(file)) return original(file, ...rest)
    const result = disturbedSync(operation, file, () => original(file, ...rest))
    if (name === 'openSync') descriptors.set(result, file)
    return result
  }
}

for (const [name, operation] of Object.entries({ readSync: 'read', writeSync: 'write', fstatSync: 'stat', fsyncSync: 'sync' })) {
  const original = fs[name]
  fs[name] = (descriptor, ...rest) => {
    const file = descriptors.get(descriptor)
    if (file === undefined) return original(descriptor, ...rest)
    const [bytes, at, length, offset] = rest
    const shorter = operation === 'read' || operation === 'write' ? () => original(descriptor, bytes, at, half(length), offset) : undefined
    return disturbedSync(operation, file, () => original(descriptor, ...rest), shorter)
  }
}
const { closeSync } = fs
fs.closeSync = (descriptor) => {
  descriptors.delete(descriptor)
  closeSync(descriptor)
}

/** At least one byte: none would be the end of the file. */
const half = (length) => Math.max(1, length >> 1)

const handle = await fs.promises.open(process.execPath)
const prototype = Object.getPrototypeOf(handle)
await handle.close()
for (const [name, operation] of Object.entries({ read: 'read', write: 'write', truncate: 'truncate', sync: 'sync', stat: 'stat' })) {
  const original = prototype[name]
  prototype[name] = function (...given) {
    const file = files.get(this)
    if (file === undefined) return original.apply(this, given)
    const [bytes, at = 0, length = bytes?.length - at, offset] = given
    const hasLength = (operation === 'read' || operation === 'write') && typeof bytes === 'object'
    const shorter = hasLength ? () => original.call(this, bytes, at, half(length), offset) : undefined
    return disturbed(operation, file, () => original.apply(this, given), shorter)
  }
}

const { fetch } = globalThis
globalThis.fetch = async (...call) => {
  const response = await disturbed('fetch', String(call[0]), () => fetch(...call))
  return response.body ? new Response(response.body.pipeThrough(body()), response) : response
}

/** A body of which a chunk may be half of what came, be late, or be an error. */
function body() {
  return new TransformStream({
    async transform(chunk, controller) {
      const mode = ordered('body')
      if (mode === 'error') return controller.error(failure('body', 'a connection'))
      if (mode === 'delay') await new Promise((resolve) => setTimeout(resolve, DELAY_MS))
      if (mode === 'kill') kill()
      controller.enqueue(mode === 'short' ? chunk.subarray(0, chunk.length >> 1) : chunk)
      if (mode === 'short') controller.terminate()
      if (mode === 'kill-after') setImmediate(kill)
    },
  })
}

// A thread cannot fail to send a message, but it can end before it does.
const { postMessage } = MessagePort.prototype
MessagePort.prototype.postMessage = function (...call) {
  if (isMainThread) return postMessage.apply(this, call)
  const mode = ordered('message')
  if (mode === 'error' || mode === 'short') process.exit(1)
  if (mode === 'delay') Atomics.wait(pause, 0, 0, DELAY_MS)
  if (mode === 'kill') kill()
  return postMessage.apply(this, call)
}

// Waits between attempts are for servers that need a rest.
const { setTimeout: wait } = timers
timers.setTimeout = (milliseconds, ...rest) => wait(milliseconds / 50, ...rest)

syncBuiltinESMExports()
