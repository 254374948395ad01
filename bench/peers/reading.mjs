// What loading a file costs at least: reading all of it with fs.readSync in pieces of 16 MB. Started as a process of
// its own (node reading.mjs PATH, which prints JSON), so that its memory is gone before engines run. Leaves the file in
// the page cache: loads are warm.

import { spawnSync } from 'node:child_process'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { argv, execPath } from 'node:process'
import { fileURLToPath } from 'node:url'

const pieceBytes = 2 ** 24
const script = fileURLToPath(import.meta.url)

/**
 * Seconds for the whole file at `path`, always into the same piece of memory (`again`), and into memory never touched
 * before (`fresh`), which is what a model needs and which the system hands out page by page.
 */
export function readingSeconds(path) {
  const { status, stdout, stderr } = spawnSync(execPath, [script, path], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${path} could not be read: ${stderr}`)
  return JSON.parse(stdout)
}

function read(path, nextPiece) {
  const file = openSync(path)
  const { size } = fstatSync(file)
  const start = performance.now()
  for (let at = 0; at < size; ) at += readSync(file, nextPiece(), 0, pieceBytes, at)
  closeSync(file)
  return (performance.now() - start) / 1e3
}

if (argv[1] === script) {
  const piece = new Uint8Array(pieceBytes)
  const kept = []
  const newPiece = () => {
    kept.push(new Uint8Array(pieceBytes))
    return kept.at(-1)
  }
  const sameFile = () => read(argv[2], () => piece)
  sameFile() // the first time from the disk
  process.stdout.write(JSON.stringify({ again: sameFile(), fresh: read(argv[2], newPiece) }))
}
