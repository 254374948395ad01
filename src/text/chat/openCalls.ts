// The calls of an assistant's message that have no answer yet. Owns which of them an answer is for; each is found in a
// time that does not depend on their number, as a request may have a hundred thousand.

import { MixtralError, shown } from '../../base/errors.js'
import type { JsonObjectTree } from '../tools/jsonTree.js'

/** A call in a conversation. */
export interface TurnCall {
  readonly id: string
  readonly name: string
  /** As they are written. */
  readonly arguments: JsonObjectTree
}

/** What a tool's message says of the call that it answers. */
interface Answering {
  readonly tool_call_id?: string | null | undefined
  readonly name?: string | undefined
}

export class OpenCalls {
  readonly #byId: Map<string, TurnCall>
  /** The calls of each name, all of them under undefined: the first one last. Answered ones may be there. */
  readonly #queues = new Map<string | undefined, TurnCall[]>()

  /** @param calls all calls of a message, each with an id of its own */
  constructor(calls: readonly TurnCall[] = []) {
    this.#byId = new Map(calls.map((call) => [call.id, call]))
    for (const call of calls.toReversed()) {
      for (const key of [undefined, call.name]) {
        const queue = this.#queues.get(key)
        if (queue) queue.push(call)
        else this.#queues.set(key, [call])
      }
    }
  }

  /** The first call without an answer, of all or of a name; undefined if there is none. */
  first(name?: string): TurnCall | undefined {
    const queue = this.#queues.get(name) ?? []
    while (queue.length > 0 && !this.#byId.has(queue.at(-1)!.id)) queue.pop()
    return queue.at(-1)
  }

  /** The call that a tool's message answers, which is open no more. Throws `TEMPLATE` if there is none. */
  answer({ tool_call_id: id, name }: Answering, at: string): TurnCall {
    const found = id === undefined || id === null ? this.first(name) : this.#byId.get(id)
    if (found) {
      this.#byId.delete(found.id)
      return found
    }
    const which = id === undefined || id === null ? (name === undefined ? 'a call' : `a call of ${shown(name)}`) : `the call ${shown(id)}`
    throw new MixtralError('TEMPLATE', `${at} answers ${which}, expected one of the message before that has no answer yet`)
  }
}
