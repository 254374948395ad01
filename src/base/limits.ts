// The limits of what comes from outside, each with its reason: the only place that has these numbers. docs/limits.md
// shows the same table, and a test compares them. Knows nothing of the code that applies them. Pure.

export interface Limit {
  readonly most: number
  /** What is counted, as `characters of an error's message`. */
  readonly what: string
  readonly why: string
}

const limit = (most: number, what: string, why: string): Limit => ({ most, what, why })

export const limits = {
  errorText: limit(
    1600,
    "characters of an error's message",
    'a screen has 80 columns and 24 lines; names and answers in a message may be of any length',
  ),
  alignment: limit(
    4_194_304,
    'bytes of alignment of tensors in a file',
    'twice the largest pages that are usual; the padding of a header is made in memory',
  ),
  tensors: limit(131_072, 'tensors of a file', 'more than the experts that are planned for have, each in three tensors of its own'),
  keys: limit(65_536, 'keys of metadata of a file', 'thousands of times as many as any published file has'),
  // What a header may claim: each takes scratch memory in every bank, however small the file.
  hiddenSize: limit(65_536, 'width of the residual stream', 'four times that of the widest published model, 16,384'),
  intermediateSize: limit(262_144, 'width inside an expert', 'nearly five times that of the widest published model, 53,248'),
  attentionWidth: limit(65_536, 'width of all query heads together', 'four times that of the widest published model, 16,384'),
  vocabulary: limit(2 ** 24, 'tokens of a vocabulary', 'sixty times the largest published; each has its bytes in the file'),
  unhashedFile: limit(
    10_485_760,
    'bytes of a file of Hugging Face without a SHA-256',
    'the hub keeps larger ones in storage that knows the hash of each',
  ),
  stall: limit(30, 'seconds of silence of a server', 'a connection that is lost says nothing; longer than any pause of one that works'),
  stallBytes: limit(4096, 'bytes in that time that still count as silence', 'a server that drips would hold a command for ever'),
  answerTime: limit(60, 'seconds for a list, a manifest, a token or a part of a header', 'the user waits for it and sees nothing'),
  slowAnswer: limit(16_384, 'bytes for which such an answer gets a second more', 'the slowest line that is of use for models of gigabytes'),
  answerWait: limit(30, 'seconds of waiting that a server may ask for before such an answer', 'the user waits for it and sees nothing'),
  answerTries: limit(120, 'seconds after which such an answer is not asked for again', 'five attempts with waits could take many minutes'),
  downloadWait: limit(
    300,
    'seconds of waiting that a server may ask for in a download',
    'limits of rate are often per five minutes; the download goes on where it was',
  ),
} as const satisfies Record<string, Limit>
