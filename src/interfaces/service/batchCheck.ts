// What is checked of the input of a batch before any of it runs: its lines, that they are for the endpoint of the
// batch, and that all of them mean one model, which is here. All that is wrong is collected, with the numbers of lines.

import { MixtralError, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { BatchInput } from '../batch/batchInput.js'
import type { ModelHost } from '../server/models/modelHost.js'
import type { BatchError, BatchRecord } from './batchRecord.js'

/** Errors that are told of a file: who has more has made the same mistake again. */
const MOST_ERRORS = 100
/** Names by which requests of a file may call one model. */
const MOST_NAMES = 32
/** The field of a line, as OpenAI names it. */
const MODEL = 'body.model'

export interface Checking {
  readonly host: Pick<ModelHost, 'find' | 'loaded'>
  /** Whether requests must name a model. */
  readonly needsModel: boolean
  readonly signal: AbortSignal
}

export type Checked =
  | { readonly requests: BatchInput; readonly model: string }
  /** What is wrong. */
  | readonly BatchError[]

/** Opens the input of a batch, and checks it. Throws `IO` and `ABORTED`. */
export async function checkedInput(file: string, { label, batch }: BatchRecord, checking: Checking): Promise<Checked> {
  const errors: BatchError[] = []
  const enough = new AbortController() // the rest of such a file, of any length, would tell nothing
  const add = (code: string, message: string, line: number | null = null, param: string | null = null) => {
    if (errors.length < MOST_ERRORS) errors.push({ code, message, line, param })
    else enough.abort()
  }
  /** The first line of each name. */
  const names = new Map<string, number>()
  const { signal } = checking
  let requests: BatchInput | undefined
  try {
    requests = await BatchInput.open(file, {
      ...{ label, signal: AbortSignal.any([signal, enough.signal]) },
      onWrong: ({ code, message, line }) => {
        const [field, isMissing] = fieldOf(message.slice(`${label}:${line}: `.length))
        add(isMissing ? 'missing_required_parameter' : field === 'url' ? 'invalid_url' : code, message, line, field)
      },
      onRequest: ({ index, where, url, body: { model, stream } }, line) => {
        if (index >= limits.servedBatch.most) {
          throw new MixtralError('OPTION', `${where}: more than ${limits.servedBatch.most} requests, which is the most of a batch here`)
        }
        if (url !== batch.endpoint)
          add('invalid_url', `${where}: url is ${url}, expected ${batch.endpoint}, as the batch has it`, line, 'url')
        if (stream) add('streaming_unsupported', `${where}: stream is not supported in batches: an answer is a line`, line, 'body.stream')
        const name = model ?? ''
        if (typeof name !== 'string') add('invalid_request', `${where}: model is ${shown(name)}, expected a string`, line, MODEL)
        else if (names.size < MOST_NAMES) names.set(name, names.get(name) ?? line)
        else if (!names.has(name)) add('mismatched_model', `${where}: model is another name again, expected one model`, line, MODEL)
      },
    })
  } catch (error) {
    const { code, message } = error instanceof MixtralError ? error : { code: undefined, message: '' }
    if (code === 'OPTION') add('invalid_file', message, lineOf(message.slice(label.length)))
    else if (code !== 'ABORTED' || signal.aborted) throw error
  }
  const model = requests && requests.size > 0 ? await modelOf(names, label, checking, add) : undefined
  if (requests?.size === 0 && errors.length === 0) add('empty_file', `${label} has no requests, expected one a line`)
  if (requests && model !== undefined && errors.length === 0) return { requests, model }
  await requests?.close()
  return errors.sort((a, b) => (a.line ?? 0) - (b.line ?? 0))
}

/** The one model that all names mean; undefined if they do not. */
async function modelOf(
  names: ReadonlyMap<string, number>,
  label: string,
  { host, needsModel }: Checking,
  add: (code: string, message: string, line: number | null, param: string) => void,
): Promise<string | undefined> {
  let model = needsModel ? undefined : host.loaded()[0]?.served.name
  let first = 0
  for (const [name, line] of names) {
    if (name === '') continue
    const offered = await host.find(name).catch(() => undefined) // a damaged one
    if (!offered) add('model_not_found', `${label}:${line}: model is ${shown(name)}, which does not exist here`, line, MODEL)
    else if (model === undefined) [model, first] = [offered.name, line]
    else if (offered.name !== model) {
      const as = first > 0 ? `as in line ${first}` : 'the only one'
      add('mismatched_model', `${label}:${line}: model is ${shown(name)}, expected ${shown(model)}, ${as}: a batch has one`, line, MODEL)
    }
  }
  const [open] = names.size === 1 ? names.values() : []
  if (model === undefined && open !== undefined && names.has('')) {
    add('invalid_request', `${label}:${open}: model is required, expected the name of one that is here`, open, MODEL)
  }
  return model
}

/** The field that a message begins with, and whether the line does not have it. */
function fieldOf(what: string): readonly [field: string | null, isMissing: boolean] {
  const [, field, missing] = /^(custom_id|method|url|body)\b( is no value)?/.exec(what) ?? []
  return [field ?? null, missing !== undefined]
}

/** The number of the line in `:17: what is wrong`. */
function lineOf(message: string): number | null {
  const [, line] = /^:(\d+): /.exec(message) ?? []
  return line === undefined ? null : Number(line)
}
