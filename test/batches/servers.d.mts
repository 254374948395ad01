// The types of servers.mjs, for tests.

export interface RunningServer {
  readonly address: string
  start(): Promise<RunningServer>
  stop(): Promise<void>
}

export function findRedis(): string | undefined
export function findPostgres(): string | undefined
export function startRedis(folder: string): Promise<RunningServer>
export function startPostgres(folder: string): Promise<RunningServer>
