export interface Kind {
  readonly name: string
  readonly share: number
  make(random: unknown, folder: string): Uint8Array | Promise<Uint8Array>
  use(input: Uint8Array, folder: string): Promise<unknown>
  close?(): Promise<void>
}
export const kinds: ReadonlyMap<string, Kind>
