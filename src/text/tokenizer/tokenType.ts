// The types of tokens.

/** `tokenizer.ggml.token_type`, as SentencePiece numbers them. */
export const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const
