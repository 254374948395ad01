// What a process takes: processor time, memory, open files, threads; and whether an error is one that is meant. The
// time is that of the processor, which a loaded machine does not change much.

import { readdirSync, readFileSync } from 'node:fs'
import { MixtralError } from '../../dist/base/errors.js'
import { limits } from '../../dist/base/limits.js'

/** Seconds of the processor that all threads of this process have used. */
export function processorSeconds() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** The same of this thread alone, where the system tells. */
export function threadSeconds() {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[0]) / 1e9
  } catch {
    return processorSeconds()
  }
}

/** Entries of a folder of /proc; undefined on systems without one. */
function countIn(folder) {
  try {
    return readdirSync(folder).length
  } catch {
    return undefined
  }
}

/** Open files and threads. */
export const openFiles = () => countIn('/proc/self/fd')
export const threads = () => countIn('/proc/self/task')

/** Bytes of memory that are in use behind a collection of garbage, for which the process needs --expose-gc. */
export function bytesInUse() {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Most bytes of memory that this process ever had. */
export const mostMemory = () => process.resourceUsage().maxRSS * 1024

/** What is wrong with an error, undefined for one that refuses an input as it should. */
export function faultOf(error) {
  if (!(error instanceof MixtralError)) return `a foreign error: ${error?.stack ?? String(error)}`
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(error.message)) {
    return `an error with characters that a terminal obeys: ${JSON.stringify(error.message)}`
  }
  if (error.message.length > limits.errorText.most) return `an error of ${error.message.length} characters`
  return undefined
}

/** The same for the same fault of another input: the first line without numbers, and where it was thrown. */
export function keyOf(fault) {
  const [first = '', ...frames] = fault.split('\n')
  const place = frames.find((line) => line.includes('/dist/')) ?? frames[0] ?? ''
  return `${first.slice(0, 120)} ${place.trim()}`.replaceAll(/[\da-f]{8}|\d+|"[^"]*"|-faults-\w+/g, '#')
}
