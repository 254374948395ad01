// What an importance matrix may claim. Models far beyond any Mixtral stay below; a hostile file does not get far.

/** Entries: the largest models have ten thousand tensors, with one for each expert. */
export const MOST_ENTRIES = 65536
/** Bytes of a tensor's name, or of a text's. */
export const MOST_NAME = 4096
/** Values of all entries together: half a gigabyte of float32. Mixtral 8x22B has 30 million. */
export const MOST_VALUES = 2 ** 27
/** Bytes of a file: all values, and generous names. */
export const MOST_BYTES = 2 ** 30
