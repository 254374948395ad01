// The body of an upload, as RFC 7578 and RFC 2046 have it: parts between delimiters, each with a head and bytes. It is
// read as it comes, and nothing of a part is kept. Owns the form; does not know what parts mean.

import { badRequest } from '../server/apiError.js'

/** A part begins. What follows, up to the next head, are its bytes. */
export interface PartHead {
  readonly name: string
  /** Of a file. */
  readonly filename: string | undefined
}

const LINE_END = Buffer.from('\r\n')
const HEAD_END = Buffer.from('\r\n\r\n')
const DASH = 0x2d
/** Usual heads have some hundred bytes. */
const MOST_HEAD_BYTES = 8192
/** Bytes of a delimiter: RFC 2046 allows no more. */
const MOST_BOUNDARY = 70

/** What stands between parts. Throws an ApiError 400 for a body that is no upload. */
export function boundaryOf(contentType: string | undefined): string {
  const [, quoted, plain] = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]+)"|([^\s;"]+))/i.exec(contentType ?? '') ?? []
  const boundary = quoted ?? plain
  if (boundary === undefined || boundary.length > MOST_BOUNDARY || !/^[ -~]+$/.test(boundary)) {
    throw badRequest('the body is no multipart/form-data with a boundary, expected a form with the fields file and purpose')
  }
  return boundary
}

/**
 * Heads and bytes of all parts, in their order. What follows the last delimiter is left unread. Throws an ApiError 400
 * for a body that is cut or malformed.
 * @param next the next bytes of the body, undefined at its end
 */
export async function* partsOf(next: () => Promise<Uint8Array | undefined>, boundary: string): AsyncGenerator<PartHead | Uint8Array> {
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  let held: Buffer = LINE_END // the first delimiter has no line before it
  let isInside = false
  const more = async () => {
    const piece = await next()
    if (!piece) throw badRequest('the upload ended before its last delimiter')
    held = Buffer.concat([held, piece])
  }
  for (;;) {
    const at = held.indexOf(delimiter)
    const certain = at < 0 ? held.length - delimiter.length + 1 : at
    if (certain > 0) {
      if (isInside) yield held.subarray(0, certain)
      held = held.subarray(certain)
    }
    if (at < 0) {
      await more()
      continue
    }
    held = held.subarray(delimiter.length)
    while (held.length < 2) await more()
    if (held[0] === DASH && held[1] === DASH) return
    while (held.indexOf(HEAD_END) < 0 && held.length <= MOST_HEAD_BYTES) await more()
    const end = held.indexOf(HEAD_END)
    if (end < 0 || end > MOST_HEAD_BYTES) throw badRequest(`the head of a part has more than ${MOST_HEAD_BYTES} bytes`)
    yield headOf(held.toString('utf8', 0, end))
    held = held.subarray(end + HEAD_END.length)
    isInside = true
  }
}

/** Throws an ApiError 400. */
function headOf(text: string): PartHead {
  const [padding, ...lines] = text.split('\r\n')
  const disposition = lines.find((line) => /^content-disposition:/i.test(line)) ?? ''
  const parameters = parametersOf(disposition)
  const name = parameters.get('name')
  if (padding!.trim() !== '' || !/^content-disposition:\s*form-data\s*;/i.test(disposition) || name === undefined) {
    throw badRequest('a part of the upload has no name, expected Content-Disposition: form-data; name="..."')
  }
  return { name, filename: extendedOf(parameters.get('filename*')) ?? parameters.get('filename') }
}

/** A name with all its letters, as RFC 5987 has it. RFC 7578 does not know it; clients in .NET and Python send it. */
function extendedOf(value: string | undefined): string | undefined {
  const [, text] = /^utf-8'[^']*'(.+)$/i.exec(value ?? '') ?? []
  try {
    return text && decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** One parameter behind the other: what stands in quotes is none. */
const PARAMETER = /\s*;\s*([^\s=;"]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/y
const ESCAPES: Readonly<Record<string, string>> = { '%22': '"', '%0D': '\r', '%0A': '\n' }

/** By their names in small letters; of two, the first. Browsers escape a quote as %22, others by a backslash. */
function parametersOf(disposition: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  PARAMETER.lastIndex = Math.max(0, disposition.indexOf(';'))
  for (let match = PARAMETER.exec(disposition); match; match = PARAMETER.exec(disposition)) {
    const [, name, quoted, plain] = match
    const value =
      quoted?.replace(/\\(["\\])|%(?:22|0D|0A)/gi, (text, escaped?: string) => escaped ?? ESCAPES[text.toUpperCase()]!) ?? plain!
    if (!found.has(name!.toLowerCase())) found.set(name!.toLowerCase(), value)
  }
  return found
}
