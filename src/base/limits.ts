// The limits of what files, hubs and stores may claim, each with its reason: the only place that has these numbers.
// docs/limits.md shows the same table, and a test compares them. Knows nothing of the code that applies them. Pure.

interface Limit {
  readonly most: number
  /** What is counted, as `characters of an error's message`. */
  readonly what: string
  readonly why: string
}

const limit = (most: number, what: string, why: string): Limit => ({ most, what, why })

const forGguf = {
  nameBytes: limit(
    4096,
    'bytes of a key, or of the name of a tensor',
    'usual ones have some dozen; V8 knows names of over 16,383 characters by their length alone, and compares all',
  ),
  nesting: limit(4, 'arrays inside each other in metadata', 'no published file nests any'),
  headerMemory: limit(
    536_870_912,
    'bytes of memory for a header',
    'half a million tokens take a fifth; a sparse file can have any size at no cost',
  ),
  smallHeaderMemory: limit(
    33_554_432,
    'bytes of memory for a header, beside twice the bytes of its file',
    'small files may hold only a vocabulary',
  ),
  keys: limit(65_536, 'keys of metadata of a file', 'thousands of times as many as any published file has'),
  tensors: limit(131_072, 'tensors of a file', 'more than all experts that can be planned, each in three tensors of its own'),
  shards: limit(1024, 'files of a set of shards, read and written', 'the largest published sets have a few dozen'),
  alignment: limit(
    4_194_304,
    'bytes of alignment of tensors in a file',
    'twice the largest usual pages; the padding of a header is made in memory',
  ),
}

// What a header may claim of a model: each takes scratch memory in every bank, however small the file.
const forModels = {
  hiddenSize: limit(65_536, 'width of the residual stream', 'four times that of the widest published model, 16,384'),
  intermediateSize: limit(262_144, 'width inside an expert', 'nearly five times that of the widest published model, 53,248'),
  attentionWidth: limit(65_536, 'width of all query heads together', 'four times that of the widest published model, 16,384'),
  layers: limit(4096, 'layers, or experts of a layer', 'ten times as many as any published model has'),
  experts: limit(32_768, 'experts of all layers', '8x22B has 448; each is an object before anything is planned'),
  contextLength: limit(
    2_147_483_647,
    'positions that a model says it was trained for',
    'positions are 32-bit; memory is planned for the context asked for',
  ),
  vocabulary: limit(1_048_576, 'tokens of a vocabulary', 'four times as many as the largest published one has'),
  piece: limit(256, 'characters of a token', 'SentencePiece stops at 16 by default; bounds the building of the table of merges'),
  specialTexts: limit(2_097_152, 'characters of all control and user-defined tokens', 'usual vocabularies have some thousand'),
}

const forCheckpoints = {
  safetensorsHeader: limit(
    8_388_608,
    'bytes of the header of a safetensors file',
    'it is parsed at once, in a tenth of a second; those of an 8x22B have some ten thousand',
  ),
  index: limit(16_777_216, "bytes of a checkpoint's index", 'that of an 8x22B has 0.2 million'),
  checkpointShards: limit(512, 'shards of a checkpoint', 'all are open during a conversion; an 8x22B has 59'),
  config: limit(1_048_576, 'bytes of config.json', 'usual ones have a thousand'),
  tokenizerConfig: limit(16_777_216, 'bytes of the other small files of a tokenizer', 'they may hold a chat template and all added tokens'),
  tokenizer: limit(67_108_864, 'bytes of tokenizer.model or tokenizer.json', 'three times that of the largest vocabularies in use'),
  jinja: limit(1_048_576, 'bytes of chat_template.jinja', 'usual ones have some thousand'),
  namedTemplates: limit(64, 'chat templates of a checkpoint in files of their own', 'published models have two or three'),
}

const forAdapters = {
  adapters: limit(64, 'adapters at a time', 'usual are one to three; each adds products to every token'),
  adapterScale: limit(
    1_000_000,
    'times that an adapter may count, and as many below 0',
    'usual are 0 to 2; far larger ones make logits that are not finite',
  ),
  adapterRank: limit(4096, 'rank of an adapter', 'usual are 8 to 256; the width of the smaller Mixtral, at which nothing is saved'),
  adapterPatterns: limit(
    500,
    'characters of regular expressions for the ranks of an adapter, and for its alphas',
    'usual are one to three of some thirty; each is compared with each module',
  ),
  adapterBytes: limit(
    17_179_869_184,
    'bytes of the factors of an adapter',
    'all experts of an 8x22B at rank 128 in 16 bits take 8 billion; they are kept in memory',
  ),
}

const forImatrices = {
  imatrixEntries: limit(
    65_536,
    'entries of an importance matrix',
    'the largest models have ten thousand tensors, with one for each expert',
  ),
  imatrixText: limit(4096, 'bytes of a name in an old importance matrix', 'usual ones have some thirty'),
  imatrixValues: limit(134_217_728, 'values of an importance matrix', 'that of an 8x22B has 30 million; they are kept in memory'),
  imatrixBytes: limit(1_073_741_824, 'bytes of the file of an importance matrix', 'all values, and generous names'),
}

const forHubs = {
  modelName: limit(1024, 'characters of the name of a model', 'an address with a signature has some hundred'),
  repositoryFolders: limit(16, 'folders around a file of a repository', 'usual ones have none to three; they become folders of the disk'),
  fileList: limit(4_194_304, 'bytes of a list of files or repositories', 'fifteen thousand files with hashes'),
  token: limit(65_536, 'bytes of an answer with a token', 'usual ones have some thousand'),
  manifest: limit(1_048_576, 'bytes of a manifest', 'usual ones have a thousand'),
  manifestLayers: limit(64, 'layers of a manifest', 'usual ones have five'),
  layerText: limit(1_048_576, 'bytes of a template, license or other text of an Ollama model', 'usual ones have some thousand'),
  modelBytes: limit(17_592_186_044_416, 'bytes of a model', 'fifty times the largest published one'),
  redirects: limit(10, 'redirects of a request', 'hubs use one or two'),
  skipped: limit(
    16_777_216,
    'bytes that are skipped of a server that ignores ranges',
    'enough for the header of a model with a large vocabulary',
  ),
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
}

const forStores = {
  record: limit(65_536, 'bytes of the record of a file', 'it has an address, a hash and a version'),
  partialLog: limit(8_388_608, 'bytes of the log of a partial file', 'a line of about 20 for each megabyte that came: 400 GB of one file'),
  partialSpans: limit(4096, 'pieces of a partial file that are apart', 'a few for each attempt that was stopped; each write looks at all'),
  storedTokens: limit(4_194_304, 'tokens of a file of stored logits', 'their logits take 130 GB at a vocabulary of 32,000'),
  sessionManifest: limit(16_777_216, 'bytes of what a saved session says of itself', 'a million tokens, and what the caller adds'),
}

// What is learned of a model's template from a small conversation with calls, and the calls of any conversation.
const forCalls = {
  shownCalls: limit(
    65_536,
    'characters of a chat that shows how a template writes calls',
    'the longest known template writes some thousand',
  ),
  callText: limit(512, 'characters before, between or behind calls', 'usual formats have a few dozen'),
  messageCalls: limit(1024, 'calls of functions in a message', 'models write some dozen; each result is looked for among all'),
}

const forBatches = {
  batchLine: limit(9_437_184, 'bytes of a line of a batch', 'a body of 8 MiB, as the server takes it, and what is around it'),
  batchRequests: limit(1_000_000, 'lines of a batch, empty ones too', "twenty times OpenAI's most; each request takes 40 bytes of memory"),
  customId: limit(512, 'characters of the custom_id of a request', 'it is a name, and stands in messages'),
  batchResult: limit(67_108_864, 'bytes of a line of results', 'an answer of 4096 tokens with all log-probabilities has ten million'),
  servedBatch: limit(50_000, 'requests of a batch of a server', 'as OpenAI has it; the check of more would hold up those who wait'),
  storedFile: limit(209_715_200, 'bytes of a file that a client sends', 'as OpenAI has it for batches'),
  storedFiles: limit(10_000, 'files that a server keeps when a client sends one', 'their records are in memory, and a list looks at all'),
  storedBytes: limit(
    68_719_476_736,
    'bytes of all files when a client sends one',
    'hundreds of files of the largest size; disks have that',
  ),
  storedBatches: limit(1000, 'batches that a server keeps', 'each may have a hundred errors; those that ended first are forgotten then'),
  storedRecord: limit(1_048_576, 'bytes of the record of a file or a batch', 'a hundred errors of 1,600 characters take a fifth'),
}

// What files of tasks and journals may hold, and statistics.
const forTasks = {
  taskItem: limit(1_048_576, 'bytes of a line, or characters of a text, of a task', 'the longest published items have some ten thousand'),
  taskChoices: limit(64, 'choices of an item of a task', 'published items have two to five'),
  taskRowGroup: limit(1_073_741_824, 'bytes of a row group of a Parquet file', 'it is read as a whole; usual ones have some million'),
  taskRows: limit(
    65_536,
    'rows of a Parquet file, beside one for each of its bytes',
    'each has a text of its own, which takes some dozen, compressed too',
  ),
  taskTableRow: limit(
    16_777_216,
    'bytes of a row of a Parquet file',
    'a few bytes can repeat a text; rows of published tasks have some thousand',
  ),
  taskTableMemory: limit(
    209_715_200,
    'bytes of memory for reading a Parquet file, beside twenty times its own',
    'a hundred bytes may stand for a billion values; usual files take some ten million',
  ),
  taskTableTime: limit(500, 'milliseconds of work for reading a Parquet file', 'usual ones take a tenth; damaged ones can take for ever'),
  taskTablePace: limit(2_097_152, 'bytes of a Parquet file for which it gets a second more', 'usual ones take a tenth of one for them'),
  taskExamples: limit(
    536_870_912,
    'characters of all examples for a task',
    'they are kept in memory; the largest published splits have some 40 million',
  ),
  list: limit(16_777_216, 'items of a list that a program gives', 'each is copied; a list can say that it has four billion, at no cost'),
  statisticsDomains: limit(100, 'domains of statistics of experts', 'each two are compared, in a tenth of a second; MMLU has 57 subjects'),
  taskPrompt: limit(16_777_216, 'characters of a prompt of a task, examples and all', 'more than all tokens of the longest contexts have'),
  taskShots: limit(1000, 'examples before an item of a task', 'usual are up to 25, and all must fit the context'),
}

// What a chat template may use of this machine: it comes with a model, and so from a stranger.
const forTemplates = {
  templateSource: limit(100_000, 'characters of a chat template', 'the longest known one has some ten thousand'),
  templateTime: limit(
    1000,
    'milliseconds of all renderings of a chat together',
    'usual templates take a few; the thread does nothing else meanwhile',
  ),
  templateSteps: limit(1_000_000, 'steps of a rendering of a chat template', 'a chat of a thousand messages takes some ten thousand'),
  templateTrial: limit(
    16,
    'by which steps and texts are divided where a few words are rendered to find out what a template does',
    'usual templates take a few hundred steps for them',
  ),
  templateNesting: limit(300, 'steps of a chat template inside each other', 'usual templates nest a dozen'),
  templateItems: limit(65_536, 'items of a list that a chat template makes', 'a chat has fewer messages, and a tool fewer properties'),
  templateText: limit(
    1_048_576,
    "characters of a text that a chat template makes, beside eight times the messages' own",
    'a template may repeat a message a few times',
  ),
  templateMade: limit(
    67_108_864,
    "characters that a rendering makes and searches, beside 64 times the messages' own",
    'texts in variables take memory even if they are never written',
  ),
}

const forMessages = {
  errorText: limit(
    1600,
    "characters of an error's message",
    'a screen has 80 columns and 24 lines; names and answers in a message may be of any length',
  ),
}

export const limits = {
  ...forGguf,
  ...forModels,
  ...forCheckpoints,
  ...forAdapters,
  ...forImatrices,
  ...forHubs,
  ...forStores,
  ...forCalls,
  ...forBatches,
  ...forTasks,
  ...forTemplates,
  ...forMessages,
}
