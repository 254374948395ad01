// A stream that survives its server: when it breaks off, the same request is sent again with the id of the last event
// that came, and another replica goes on behind it, byte for byte. Works with every route that streams events.

/** Statuses that say: later, or elsewhere. */
const BUSY = [429, 502, 503, 504]

/**
 * The data of each event, as text, to the end of the answer.
 * @param attempts how often in a row the server may fail before an event comes
 */
export async function* resumingStream(url, body, { headers = {}, signal, attempts = 20, waitSeconds = 0.5, onResume } = {}) {
  const request = JSON.stringify({ ...body, stream: true }) // the same bytes each time: ids are bound to them
  let lastEventId = ''
  let failures = 0
  for (;;) {
    let seconds = waitSeconds
    try {
      const resuming = lastEventId ? { 'last-event-id': lastEventId } : {}
      const response = await fetch(url, {
        ...{ method: 'POST', body: request, ...(signal && { signal }) },
        headers: { 'content-type': 'application/json', ...headers, accept: 'text/event-stream', ...resuming },
      })
      if (response.ok) {
        for await (const { id, data } of eventsOf(response.body)) {
          if (isBusy(data)) break
          failures = 0
          if (id !== undefined) lastEventId = id
          yield data
          if (isLast(data)) return
        }
      } else {
        const text = await response.text()
        if (!BUSY.includes(response.status)) throw new Refused(`${response.status}: ${text}`)
        seconds = Number(response.headers.get('retry-after')) || waitSeconds
      }
    } catch (error) {
      if (signal?.aborted || error instanceof Refused) throw error
    }
    if (++failures > attempts) throw new Error(`no server has answered ${attempts} times`)
    onResume?.(lastEventId)
    if (failures > 1) await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  }
}

/** What another attempt would be told, too. */
class Refused extends Error {}

/** Whether a server that ends, or is full, has said so in its stream. Throws for any other error. */
function isBusy(data) {
  if (!data.startsWith('{"error"') && !data.startsWith('{"type":"error"')) return false
  const { error } = JSON.parse(data)
  if (error?.type === 'unavailable_error' || error?.type === 'overloaded_error') return true
  throw new Refused(data)
}

/** Whether nothing comes behind it, by the ways in which the APIs end streams. */
function isLast(data) {
  return data === '[DONE]' || /^\{"type":"(message_stop|response\.(completed|incomplete|failed))"/.test(data)
}

/** The complete events of a body; one that is cut off is none. */
async function* eventsOf(body) {
  let held = ''
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    held += text
    for (let end = held.indexOf('\n\n'); end >= 0; end = held.indexOf('\n\n')) {
      const fields = Object.fromEntries(
        held
          .slice(0, end)
          .split('\n')
          .map((line) => [line.split(':', 1)[0], line.replace(/^[^:]*: ?/, '')]),
      )
      held = held.slice(end + 2)
      if (fields.data !== undefined) yield fields
    }
  }
}
