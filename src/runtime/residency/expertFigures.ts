// Counts of how streamed experts were used and read, over the life of a model or a part of it, and the rates that
// follow from them. Owns the layout of the counters, which the residency table adds to.

/** Offsets of the counters. A thread that holds the table's lock writes them, main reads them. */
export const figure = { uses: 0, hits: 1, ahead: 2, bytes: 3, waitMs: 4 } as const
export const FIGURES = 5

export interface ExpertFigures {
  /** Experts that layers requested: one counts once for all tokens of a step. */
  readonly uses: number
  /** Uses of experts that were in memory since an earlier use. */
  readonly hits: number
  /** Uses of experts that were prefetched in time. An expert that was prefetched in part counts as that part. */
  readonly ahead: number
  /** Bytes of experts read from the file, needless prefetches included. */
  readonly bytesRead: number
  /** Time in which all threads waited for an expert. */
  readonly waitSeconds: number
}

/** The counts since `earlier`, or since the model was loaded. */
export function readFigures(figures: Float64Array, earlier?: ExpertFigures): ExpertFigures {
  return {
    uses: figures[figure.uses]! - (earlier?.uses ?? 0),
    hits: figures[figure.hits]! - (earlier?.hits ?? 0),
    ahead: figures[figure.ahead]! - (earlier?.ahead ?? 0),
    bytesRead: figures[figure.bytes]! - (earlier?.bytesRead ?? 0),
    waitSeconds: figures[figure.waitMs]! / 1000 - (earlier?.waitSeconds ?? 0),
  }
}

/**
 * hitRate: the share of uses that needed no read. hiddenMisses: the share of the others that was prefetched in time.
 */
export function expertRates({ uses, hits, ahead }: ExpertFigures): { hitRate: number; hiddenMisses: number } {
  const misses = uses - hits
  return { hitRate: uses ? hits / uses : 1, hiddenMisses: misses ? ahead / misses : 1 }
}
