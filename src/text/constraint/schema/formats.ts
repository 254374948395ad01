// The values of `format` as regular expressions of the RFCs that the vocabulary names. Owns the list. A format of the
// draft that is not in it is refused, since a model would not be held to it. Any other is an annotation, as in the
// draft.

import { remembered } from '../memo.js'
import { wholeMatch } from '../pattern.js'
import type { Term, Terms } from '../terms.js'

const YEAR_OF_LEAP = '(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)'
/** RFC 3339, with the days that a month has. */
const DATE = `(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|${YEAR_OF_LEAP}-02-29)`
/** RFC 3339 without leap seconds, which depend on the day. */
const TIME = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)'
/** RFC 3339, appendix A. */
const CLOCK = '(?:\\d{1,9}H(?:\\d{1,9}M(?:\\d{1,9}S)?)?|\\d{1,9}M(?:\\d{1,9}S)?|\\d{1,9}S)'
const DURATION = `P(?:\\d{1,9}W|(?:\\d{1,9}Y(?:\\d{1,9}M(?:\\d{1,9}D)?)?|\\d{1,9}M(?:\\d{1,9}D)?|\\d{1,9}D)(?:T${CLOCK})?|T${CLOCK})`
const BYTE = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const IPV4 = `${BYTE}(?:\\.${BYTE}){3}`
const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?'
const SHORT_LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,18}[a-zA-Z0-9])?'
/** RFC 1123: at most 253 characters, so three labels of any length or twelve of up to 20. */
const HOSTNAME = `(?:${LABEL}(?:\\.${LABEL}){0,2}|${SHORT_LABEL}(?:\\.${SHORT_LABEL}){0,11})`
const ATOM = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,64}"
const WORD = '[a-fA-F0-9]{1,4}'
const LAST_WORDS = `(?:${WORD}:${WORD}|${IPV4})`
/** RFC 4291: eight words, one run of zeros left out, the last two as IPv4 if one likes. */
const IPV6 = [
  `(?:${WORD}:){6}${LAST_WORDS}`,
  `::(?:${WORD}:){5}${LAST_WORDS}`,
  `(?:${WORD})?::(?:${WORD}:){4}${LAST_WORDS}`,
  `(?:(?:${WORD}:){0,1}${WORD})?::(?:${WORD}:){3}${LAST_WORDS}`,
  `(?:(?:${WORD}:){0,2}${WORD})?::(?:${WORD}:){2}${LAST_WORDS}`,
  `(?:(?:${WORD}:){0,3}${WORD})?::${WORD}:${LAST_WORDS}`,
  `(?:(?:${WORD}:){0,4}${WORD})?::${LAST_WORDS}`,
  `(?:(?:${WORD}:){0,5}${WORD})?::${WORD}`,
  `(?:(?:${WORD}:){0,6}${WORD})?::`,
].join('|')
/** RFC 3986, with registered names, IPv4 and IPv6 as hosts. */
const UNRESERVED = "a-zA-Z0-9._~!$&'()*+,;=\\-"
const PERCENT = '%[0-9A-Fa-f]{2}'
const PATH_CHARACTER = `(?:[${UNRESERVED}:@]|${PERCENT})`
const AUTHORITY = `(?:(?:[${UNRESERVED}:]|${PERCENT})*@)?(?:\\[(?:${IPV6})\\]|(?:[${UNRESERVED}]|${PERCENT})*)(?::\\d*)?`
const AFTER_PATH = `(?:\\?(?:${PATH_CHARACTER}|[/?])*)?(?:#(?:${PATH_CHARACTER}|[/?])*)?`
const HIERARCHY = `(?://${AUTHORITY}(?:/${PATH_CHARACTER}*)*|/(?:${PATH_CHARACTER}+(?:/${PATH_CHARACTER}*)*)?`
const URI = `[a-zA-Z][a-zA-Z0-9+.-]*:${HIERARCHY}|${PATH_CHARACTER}+(?:/${PATH_CHARACTER}*)*)?${AFTER_PATH}`
const FIRST_SEGMENT = `(?:[${UNRESERVED}@]|${PERCENT})+`
const RELATIVE_URI = `${HIERARCHY}|${FIRST_SEGMENT}(?:/${PATH_CHARACTER}*)*)?${AFTER_PATH}`
const POINTER = '(?:/(?:[^~/]|~[01])*)*'

const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  'date-time': `${DATE}T${TIME}`,
  duration: DURATION,
  email: `${ATOM}(?:\\.${ATOM}){0,9}@${HOSTNAME}`,
  hostname: HOSTNAME,
  ipv4: IPV4,
  ipv6: IPV6,
  uuid: '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}',
  uri: URI,
  'uri-reference': `${URI}|${RELATIVE_URI}`,
  'json-pointer': POINTER,
  'relative-json-pointer': `(?:0|[1-9]\\d{0,8})(?:#|${POINTER})`,
}

/** Of the draft, but not done. */
const OTHERS_OF_DRAFT = ['idn-email', 'idn-hostname', 'iri', 'iri-reference', 'uri-template', 'regex']

export const knownFormats: readonly string[] = Object.keys(FORMATS)

/** Whether the draft says what a format means. Others are of somebody's own, such as OpenAPI's `int64`. */
export function isDraftFormat(format: string): boolean {
  return Object.hasOwn(FORMATS, format) || OTHERS_OF_DRAFT.includes(format)
}

/** By the terms that a grammar has. */
const known = new WeakMap<Terms, Map<string, Term>>()

/** The texts of a format, over code points; undefined for one that is not known. */
export function formatTerm(terms: Terms, format: string): Term | undefined {
  if (!Object.hasOwn(FORMATS, format)) return undefined
  const own = remembered(known, terms, () => new Map<string, Term>())
  return remembered(own, format, () => wholeMatch(terms, FORMATS[format]!, `the format ${format}`))
}
