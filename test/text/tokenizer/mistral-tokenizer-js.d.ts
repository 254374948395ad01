// The parts of mistral-tokenizer-js that the tests use: the real Mistral vocabulary and an independent encoder.

declare module 'mistral-tokenizer-js' {
  const tokenizer: {
    encode(text: string, addBos?: boolean, addPrecedingSpace?: boolean): number[]
    /** Pieces by id. */
    readonly vocabById: string[]
    /** "left right" -> priority, lowest first. */
    readonly merges: Map<string, number>
  }
  export default tokenizer
}
