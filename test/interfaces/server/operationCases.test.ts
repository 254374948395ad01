// What users of other servers reported of their operation, and what llama-server's own tests ask of it: queues, places,
// clients that leave, connections, proxies, metrics, time limits, the end. Each with the tests that hold it here, by
// file and words of the name, or a sentence why it does not apply. A name that is gone fails here.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

type Where = readonly [file: string, words: string]
type Row = readonly [what: string, ...held: Where[]] | readonly [what: string, why: string]

const server = (file: string) => (words: string) => [`interfaces/server/${file}.test.ts`, words] as const
const operation = server('operation')
const limits = server('limits')
const deadlines = server('deadlines')
const connections = server('connections')
const proxy = server('proxy')
const security = server('security')
const salts = server('salts')
const metrics = server('metrics')
const engine = (file: string, words: string): Where => [`runtime/engine/${file}.test.ts`, words]
const cli = (file: string, words: string): Where => [`interfaces/cli/${file}.test.ts`, words]

const rows: readonly Row[] = [
  // clients that leave
  ['a client that left still runs from the queue', limits('a client that leaves in its body, in the queue and in its answer')],
  ['no cancel in prefill', operation('a client that leaves before its answer ends the work too')],
  ['cancelling one request ends another', operation('a client that leaves a stream frees its pages, and disturbs nobody')],
  [
    'a proxy hides that the client left',
    proxy('who leaves through the proxy ends the work'),
    limits('who does not read its answer loses it'),
  ],
  ['a place leaks with an aborted request', limits('a thousand requests whose clients leave at once')],
  ['an abort after the answer counts as one, in some runtimes', operation('a request is one line in the log')],
  // queues and places
  ['more requests than places loop for ever', operation('the queue is bounded')],
  ['a long prompt holds up everybody', engine('scheduler', 'a long prompt does not hold up short ones')],
  ['health hangs while others run', operation('the queue is bounded'), operation('an answer whose pieces are all there lets others')],
  ['one failed step wedges the server', engine('stepLoop', 'of a step that one request causes ends that request alone')],
  ['the context is divided by the places, silently', operation('models and props tell of the one that is loaded')],
  ['a full queue has no way to tell a balancer', proxy('a request that finds a full queue goes to the other server')],
  ['a time limit for the queue alone', 'The limit of the whole request bounds the wait as well.'],
  // connections, headers, time
  ['clients give up after 300 s of silence', operation('a waiting request has headers and signs of life before its first token')],
  ['proxies use a connection longer than the server keeps it', connections('a connection is used again, after errors too')],
  ['a request without an end', deadlines('is an error event, where a stream has begun'), deadlines('is a 504 in the shape of its API')],
  ['clients repeat a request that took too long', deadlines('is a 504 in the shape of its API')],
  ['slow bodies', deadlines('a body that comes too slowly is a 408')],
  ['large headers', limits('headers of more than 16 KiB are refused')],
  [
    'a proxy collects the whole answer',
    connections('headers tell proxies and clients'),
    proxy('pieces of a stream come as they are written'),
  ],
  ['a stream ends without an end', operation('an error in mid-stream is an event'), deadlines('is told to a client that reads late')],
  ['an error inside of a 200 that nobody sees', operation('an error after the headers of a whole answer is its body')],
  ['nobody reads, and memory grows', operation('who does not read makes only its own generation wait')],
  ['smuggled and malformed requests', security("['two lengths'"), security("['length and chunks'"), security("['no HTTP'")],
  // who asks
  ['timing tells what others asked', salts('callers of one key share beginnings, callers of different keys do not')],
  ['lists of what others do', operation('models and props tell of the one that is loaded')],
  [
    'logs have prompts',
    operation('a request is one line in the log, without its words'),
    server('tracing')('no span has a word of a request'),
  ],
  ['health needs a key', security('health and the greeting need none')],
  // the end
  [
    'a supervisor ends running answers',
    operation('closing lets running requests end'),
    cli('serve', 'a running answer is finished after the signal'),
  ],
  ['an image has no check of health', cli('health', 'a server that is well: exit code 0')],
  // llama-server's tests
  ['basic: health', operation('health answers at once')],
  ['basic: slots are off', 'They cannot be turned off here: they tell neither prompts nor who asks.'],
  [
    'completion: (places, requests) all answer while slots show work',
    connections('slots and metrics tell of answers that are being written'),
  ],
  ['completion: a client that leaves after 0.1 s frees its place', limits('a thousand requests whose clients leave at once')],
  ['metrics: counters are there and rise', metrics('counters rise by what a request did')],
  ['security: preflights and both headers', security('an allowed page gets its headers')],
  ['stream: an answer is resumed by its id', 'An answer belongs to its connection here: who leaves, ends it.'],
]

test.each(rows.map((row) => ({ what: row[0], held: row.slice(1) })))('$what', ({ held }) => {
  expect(held.length).toBeGreaterThan(0)
  for (const where of held) {
    if (typeof where === 'string') expect(where).toMatch(/^[A-Z].*\.$/)
    else expect(readFileSync(new URL(`../../${where[0]}`, import.meta.url), 'utf8')).toContain(where[1]!)
  }
})
