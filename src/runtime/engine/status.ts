// What a model does at a moment, in numbers.

/** How steps have gone lately. */
export interface LoopFigures {
  /** Steps since the model was loaded. */
  readonly steps: number
  /** Rows of the last step. */
  readonly rowsPerStep: number
  /** Milliseconds that a step may take while a sequence decodes. */
  readonly stepMs: number
  /** Tokens that have run as drafts, before it was known whether they come; and those of them that came. */
  readonly draftedTokens: number
  readonly acceptedTokens: number
}

/** What a model does at a moment. */
export interface EngineStatus extends LoopFigures {
  /** Most requests that share a step. */
  readonly sequences: number
  /** Requests that have a part of the KV cache: they take part in steps, or are paused. */
  readonly running: number
  /** Requests that have not begun. */
  readonly waiting: number
  /** Requests that have given their part of the KV cache to others, and will go on. */
  readonly suspended: number
  /** Positions of the KV cache. */
  readonly kvTokens: number
  /** Of them those that a request can have: nobody has them, or only the prefix cache. */
  readonly kvFree: number
  /** Tokens that the prefix cache holds, also those that running requests have. */
  readonly prefixTokens: number
}
