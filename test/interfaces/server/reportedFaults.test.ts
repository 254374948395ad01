// Faults that users of other servers have reported, and the cases of llama-server's own tests, each with the test that
// holds it here, or a sentence why it does not apply. The tests are named by their files and words; a name that is gone
// fails here.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/** A test: its file below test/, and words of its name. */
type Where = readonly [file: string, words: string]
type Row = readonly [what: string, ...where: Where[]] | readonly [what: string, why: string]

const server =
  (file: string) =>
  (words: string): Where => [`interfaces/server/${file}.test.ts`, words]
const formats = server('wireFormats')
const openai = server('openai')
const ollama = server('ollama')
const llama = server('llamaCompletion')
const lenience = server('lenience')
const operation = server('operation')
const limits = server('limits')
const deadlines = server('deadlines')
const connections = server('connections')
const proxy = server('proxy')
const security = server('security')
const salts = server('salts')
const echo = server('echo')
const embeddings = server('embeddings')
const metrics = server('metrics')
const cli = (file: string, words: string): Where => [`interfaces/cli/${file}.test.ts`, words]
const engine = (file: string, words: string): Where => [`runtime/engine/${file}.test.ts`, words]

/** Reported of llama.cpp, Ollama, vLLM and others, numbered as they were collected. */
const faults: readonly Row[] = [
  // clients that leave, and the queue
  [
    'a client that left still runs from the queue',
    operation('a waiting one can leave'),
    limits('in its body, in the queue and in its answer'),
  ],
  ['no cancel in prefill', operation('a client that leaves before its answer ends the work too')],
  ['cancelling one request ends another', operation('a client that leaves a stream frees its pages, and disturbs nobody')],
  [
    'a proxy hides that the client left',
    operation('a client that does not read is dropped'),
    proxy('who leaves through the proxy ends the work'),
    limits('who does not read its answer loses it'),
  ],
  ['a sequence leaks when its reader throws', engine('stepLoop', 'a thousand requests of which a third is aborted leave no page behind')],
  ['more requests than places loop for ever', operation('the queue is bounded'), llama('more requests than places are all answered')],
  [
    'a long prompt holds up everybody',
    engine('scheduler', 'every decoding request has a row in every step'),
    engine('scheduler', 'a long prompt does not hold up short ones'),
  ],
  [
    'health hangs during prefill',
    operation('the queue is bounded'),
    operation('an answer whose pieces are all there lets others'),
    server('slicedPrompts')('reads a megabyte, the event loop goes on'),
  ],
  ['one failed step wedges the server', engine('stepLoop', 'of a step that one request causes ends that request alone')],
  ['the context is divided by the slots, silently', operation('models and props tell of the one that is loaded')],
  // text
  ['a stop string cut across tokens leaks its beginning', formats('a stop string that is cut across tokens is never seen')],
  ['text held back is lost at a limit', formats('text that is held back for a stop string comes out at a limit')],
  ['the stop string, or what follows it, is in the answer', formats('a stop string that is cut across tokens is never seen')],
  ['half a character in a chunk', formats('hot texts have whole characters')],
  ['lone surrogates', formats('hot texts have whole characters')],
  ['two BOS', formats('a prompt has one BOS, however it comes')],
  ['control tokens from users', formats('control tokens in what users say are text')],
  ["a stop string of the user's drops the model's own end", formats("a stop string of the user's leaves the model its own end")],
  // the shape of answers
  ['usage is missing, or merged into another chunk', openai('a stream has one role chunk, a finish chunk and a usage chunk')],
  ['counts differ by one around the end, and between APIs', formats('counts are the same in every API')],
  ['an empty finish reason', formats('the reason is null until then, and never empty')],
  [
    'a stream ends without an end',
    formats('an error in mid-stream is told in its form'),
    operation('an error in mid-stream is an event'),
    deadlines('is told to a client that reads late'),
  ],
  ['clients give up after 300 s of silence', operation('a waiting request has headers and signs of life before its first token')],
  [
    'an error inside of a 200 that nobody sees',
    openai('what is wrong is said with a status, also where a stream was asked for'),
    operation('an error after the headers of a whole answer is its body'),
  ],
  ["the answer's model has another name", formats('the model has one name')],
  // prompts that are cut
  ['a prompt is cut without a word', formats('a prompt that is too long is refused with its counts')],
  ['a prompt that leaves no room', formats('where a prompt leaves room for one token, there is one')],
  // tools and JSON
  ['ids are missing, names come again', openai('calls of tools come in parts')],
  ['no index, or 0 for all', formats('calls are counted through: 0, 1, 2')],
  ['clients want ids in the first part only', openai('calls of tools come in parts')],
  ['arguments begin with {}', openai('calls of tools come in parts')],
  [
    'arguments are no JSON',
    ['text/generate/tools.test.ts', 'calls are valid, and streamed in parts that add up'],
    ['text/generate/tools.test.ts', 'a call that is cut is not among the calls'],
  ],
  ['white space for ever', formats('white space in JSON is bounded')],
  [
    'a model without a tool template',
    'Calls are in JSON where the template shows no format of its own, so every model has the capability.',
  ],
  // log-probabilities
  [
    'the shape of another endpoint',
    openai('what is streamed is what comes in one piece'),
    openai("the client's own stream gives what the whole answer gives"),
  ],
  ['no entry for the end token', echo('an end token that is drawn has its entry, and no text')],
  ['dropped in streams', openai("the client's own stream gives what the whole answer gives, with log-probabilities")],
  ['minus infinity is null', formats('minus infinity is a number in JSON')],
  ['the chosen and the best number differ in the last bit', echo('a prompt of T tokens has T + 1 entries')],
  // the cache of beginnings
  [
    "another conversation's content",
    operation('requests at the same time get what each gets alone'),
    engine('kvCache', 'every sequence has its own tokens in its pages'),
  ],
  ['an entry is eaten by being used', formats('what is cached is used again and again')],
  [
    'timing tells what others asked',
    engine('kvCache', 'sequences of another salt share nothing'),
    salts('callers of one key share beginnings, callers of different keys do not'),
  ],
  [
    'all of a prompt is cached',
    formats('all of a prompt but one token may be'),
    echo('answers are the same cold, cached, in one request and beside others'),
  ],
  // security
  ['DNS rebinding', security('a foreign host or page is refused before anything else, health too')],
  ['simple requests from other sites', security('a foreign host or page is refused before anything else, health too')],
  ['any origin is reflected', security('an allowed page gets its headers')],
  ['path traversal', security('a path with tricks')],
  ['requests to other hosts by pull', ollama('%s is refused by name')],
  ['memory read through a crafted file at create', ollama('%s is refused by name')],
  ['a small body that inflates to gigabytes', security("['compressed'")],
  ['numbers without a range', openai("['n of a million'")],
  ['keys compared in variable time', security("describe('keys'")],
  ['lists of what others do', operation('models and props tell of the one that is loaded')],
  [
    'slow clients',
    security("['a length that lies'"),
    operation('a client that does not read is dropped'),
    deadlines('a body that comes too slowly is a 408'),
  ],
  ['a page that runs what models write', 'That is the page at /, which has tests of its own.'],
]

/** Reported of how servers are run: behind proxies, balancers and supervisors. */
const operated: readonly Row[] = [
  ['a place leaks with an aborted request', limits('a thousand requests whose clients leave at once')],
  ['an abort after the answer counts as one, in some runtimes', operation('a request is one line in the log')],
  ['a full queue has no way to tell a balancer', proxy('a request that finds a full queue goes to the other server')],
  ['a time limit for the queue alone', 'The limit of the whole request bounds the wait as well.'],
  ['proxies use a connection longer than the server keeps it', connections('a connection is used again, after errors too')],
  ['a request without an end', deadlines('is an error event, where a stream has begun'), deadlines('is a 504 in the shape of its API')],
  ['clients repeat a request that took too long', deadlines('is a 504 in the shape of its API')],
  ['clients load a model that cannot run again and again', server('models/refusals')('is final for every client')],
  ['large headers', limits('headers of more than 16 KiB are refused')],
  [
    'a proxy collects the whole answer',
    connections('headers tell proxies and clients'),
    proxy('pieces of a stream come as they are written'),
  ],
  ['nobody reads, and memory grows', operation('who does not read makes only its own generation wait')],
  ['smuggled and malformed requests', security("['two lengths'"), security("['length and chunks'"), security("['no HTTP'")],
  [
    'logs have prompts',
    operation('a request is one line in the log, without its words'),
    server('tracing')('no span has a word of a request'),
  ],
  ['health needs a key', security('health and the greeting need none')],
  [
    'a supervisor ends running answers',
    operation('closing lets running requests end'),
    cli('serve', 'a running answer is finished after the signal'),
  ],
  ['an image has no check of health', cli('health', 'a server that is well: exit code 0')],
]

/** llama-server's own cases, in other words, and some of Ollama's. */
const cases: readonly Row[] = [
  ['basic: health', operation('health answers at once')],
  ['basic: props, slots, one model with its alias', operation('models and props tell of the one that is loaded')],
  ['basic: slots are off', 'They cannot be turned off here: they tell neither prompts nor who asks.'],
  ['completion: exact counts, tokens only if asked', llama('an answer has the fields of the API, with exact counts')],
  ['completion: a stream is the answer', llama('a stream is the answer in pieces')],
  ["completion: OpenAI's library", openai('a list of prompts, of texts or ids, has answers in its order')],
  ['completion: seeds repeat, and differ', llama('the same seed is the same text')],
  [
    'completion: results do not depend on the batch',
    embeddings('vectors are the same while others write'),
    ['text/generate/generation.test.ts', 'with the same seed writes the same text, whatever the threads, batches and banks'],
  ],
  ['completion: too long', llama('a prompt that is too long has both counts')],
  ['completion: ids, mixed prompts, lists', llama('a prompt is a text, ids, both mixed, or a list of those')],
  [
    'completion: more requests than slots',
    llama('more requests than places are all answered, while /slots shows work'),
    connections('slots and metrics tell of answers that are being written'),
  ],
  ['completion: response_fields', llama('response_fields picks fields')],
  ['completion: n_probs', llama('n_probs gives so many for each token')],
  ['completion: post_sampling_probs', llama('post_sampling_probs gives what the samplers leave')],
  ['completion: three spellings of a bias', llama('a bias has three spellings')],
  [
    'completion: a client that leaves',
    llama('a client that leaves frees its part of the cache'),
    limits('a thousand requests whose clients leave at once'),
  ],
  ['completion: evaluated + cached = total', llama('of random alternations of prompts, evaluated and cached tokens are all of them')],
  ['chat: usage, ids, roles', openai('an answer has the fields of the API'), openai('a stream has one role chunk')],
  ['chat: content parts', ['interfaces/server/openapi.test.ts', 'bodies: the document and the server agree']],
  [
    'chat: a beginning of the answer; apply-template is what runs',
    openai('an answer that has begun goes on, and a template shows what the model reads'),
  ],
  ['chat: formats, schemas, grammars', openai('an answer follows %s')],
  ['chat: messages that are none', openai("['messages of numbers'")],
  ['chat: timings_per_token', lenience("test('timings_per_token'")],
  ['chat: log-probabilities join to the content', openai("the client's own stream gives what the whole answer gives")],
  ['chat: progress', formats('the progress of a prompt is told in chats'), llama('the progress of a prompt goes up to its end')],
  ['chat: n = 2', openai("the client's own stream gives what the whole answer gives")],
  ['template: add_generation_prompt of false', formats('the prompt of a conversation that is over asks for no answer')],
  ['context shift', 'There is none: a text ends where the context is full, and says so.'],
  ['tokenize: round trip, BOS, pieces', echo('tokenize and detokenize speak with both kinds of clients')],
  [
    'security: keys, preflight',
    security('health and the greeting need none, everything else does'),
    security('an allowed page gets its headers'),
  ],
  ['slots are saved and restored', 'Sessions of the library are; over HTTP there is no such route, since a request names no file.'],
  [
    'embedding: one, many, norm, base64, usage, too large',
    embeddings('an answer has the fields of the API'),
    embeddings('base64 is little-endian float32'),
    embeddings('are the same vectors, alone and in a batch'),
  ],
  ['metrics rise, a second run is cached', metrics('counters rise by what a request did')],
  ['tool calls: parts, usage, none, required, results', openai('calls of tools come in parts')],
  ['messages: order, counts', ['interfaces/server/messages.test.ts', 'a stream has the events of the API in their order']],
  ['responses: order, ids', ['interfaces/server/responses.test.ts', 'a stream has the events of the API in their order, numbered']],
  ['a stream that is resumed by its conversation', 'There is no such route: an answer that nobody reads ends.'],
  ["Ollama: the last chunk's delta is {}, one role", openai('a stream has one role chunk')],
  ['Ollama: load and unload', ollama('nothing to write loads; a model that was given stays loaded')],
  ['Ollama: no body, no model', ollama("'no model'"), security("['nothing', ''")],
  ['Ollama: hosts', security('host %j is ours: %s')],
]

const files = new Map<string, string>()
function contents(file: string): string {
  let text = files.get(file)
  if (text === undefined) {
    text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
    files.set(file, text)
  }
  return text
}

const rows = [...faults, ...operated, ...cases].map(([what, ...where]) => ({ what, where: where as readonly (string | Where)[] }))

test.each(rows)('$what', ({ where }) => {
  expect(where.length).toBeGreaterThan(0)
  for (const place of where) {
    if (typeof place === 'string') expect(place).toMatch(/^[A-Z].{20,}\.$/)
    else expect(contents(place[0]), `${place[0]} has no test of this name`).toContain(place[1])
  }
})

test('no fault is forgotten', () => {
  expect(faults).toHaveLength(55)
  const names = rows.map(({ what }) => what)
  expect(names.filter((what, i) => names.indexOf(what) < i)).toEqual([])
})
