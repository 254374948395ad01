// Servers for queues, Debian's redis-server and postgresql, on free ports of this machine, with their data in a folder.
// They can be stopped and started again with what they had.

import { execFile, execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

function found(name, folders) {
  return [...(process.env.PATH ?? '').split(path.delimiter), ...folders].map((folder) => path.join(folder, name)).find(existsSync)
}

const debianFolders = () => {
  const root = '/usr/lib/postgresql'
  return existsSync(root) ? readdirSync(root).map((version) => path.join(root, version, 'bin')) : []
}

export const findRedis = () => found('redis-server', ['/usr/bin'])
export const findPostgres = () => found('initdb', debianFolders())

async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function untilOpen(port) {
  for (let i = 0; i < 300; i++) {
    const isOpen = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
      socket.on('connect', () => socket.end())
    })
    if (isOpen) return
    await sleep(100)
  }
  throw new Error(`no server on port ${port} after 30 s`)
}

/** A server that a function starts as a process. */
class Server {
  #begin
  #child
  #port

  constructor(address, port, begin) {
    this.address = address
    this.#port = port
    this.#begin = begin
  }

  async start() {
    this.#child = this.#begin()
    this.#child.closed = new Promise((resolve) => this.#child.on('close', resolve))
    await untilOpen(this.#port)
    return this
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGINT')
    await this.#child.closed
  }
}

export async function startRedis(folder) {
  mkdirSync(folder)
  const port = await freePort()
  const args = [
    '--port',
    port,
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--appendonly',
    'yes',
    '--save',
    '',
    '--maxmemory-policy',
    'noeviction',
  ]
  return new Server(`redis://127.0.0.1:${port}`, port, () => spawn(findRedis(), args.map(String), { stdio: 'ignore' })).start()
}

/** PostgreSQL does not run as root: then it runs as `postgres`, the user of Debian's package. */
export async function startPostgres(folder) {
  mkdirSync(folder)
  const bin = path.dirname(findPostgres())
  const isRoot = process.getuid?.() === 0
  const id = (flag) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  const as = isRoot ? { uid: id('-u'), gid: id('-g') } : {}
  if (isRoot) {
    chownSync(folder, as.uid, as.gid)
    for (let above = path.dirname(folder); above.includes('mixtral-'); above = path.dirname(above)) await run('chmod', ['a+x', above])
  }
  const data = path.join(folder, 'data')
  await run(path.join(bin, 'initdb'), ['-D', data, '-U', 'mixtral', '-A', 'trust', '--no-sync'], { ...as, cwd: folder })
  const port = await freePort()
  const args = ['-D', data, '-p', port, '-h', '127.0.0.1', '-k', folder]
  const begin = () => spawn(path.join(bin, 'postgres'), args.map(String), { ...as, cwd: folder, stdio: 'ignore' })
  const server = await new Server(`postgres://mixtral@127.0.0.1:${port}/postgres`, port, begin).start()
  for (let i = 0; i < 100; i++) {
    const ready = await run(path.join(bin, 'pg_isready'), ['-h', '127.0.0.1', '-p', String(port)]).then(
      () => true,
      () => false,
    )
    if (ready) break
    await sleep(100)
  }
  return server
}
