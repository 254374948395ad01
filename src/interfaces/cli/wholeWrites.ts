// Makes standard output fail where a file takes only a part of it, as on a full disk. Node 20 writes a chunk to a file
// with one call, and takes no notice if only a part went in.

import { fstatSync, writeSync } from 'node:fs'
import type { Writable } from 'node:stream'

/** @param fd that of the stream */
export function writeWhole(stream: Writable, fd: number): void {
  if (!isFile(fd)) return
  stream._write = (chunk: Uint8Array | string, encoding, done) => {
    try {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
    } catch (error) {
      done(error as Error)
      return
    }
    done()
  }
}

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile()
  } catch {
    return false // closed
  }
}
