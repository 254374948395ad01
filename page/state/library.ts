// All conversations, and the one that is seen. Owns what the browser keeps of them: every change is stored, and told
// where that fails. The experts of answers are read when they are looked at.

import { computed, signal } from '@preact/signals'
import { type Conversation, newConversation, newId, pathOf, titleOf } from '../chats/conversation.js'
import { Database } from '../chats/database.js'
import { type History, historyText, MOST_FILE_BYTES, readHistory } from '../chats/historyFile.js'
import { Routing } from '../chats/routing.js'

/** Newest first. One without messages is not among them. */
export const conversations = signal<readonly Conversation[]>([])
export const current = signal<Conversation>(newConversation(Date.now()))
export const path = computed(() => pathOf(current.value))
/** Why the browser keeps nothing, or not all. */
export const storageTrouble = signal('')
export const isLoaded = signal(false)

/** By message; the number of changes is a signal, since the arrays grow in place. */
const routings = new Map<string, Routing>()
const looked = new Set<string>()
export const routingChanges = signal(0)

let database: Database | undefined
const channel = typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel('mixtral-chats')

/** Reads what the browser has. Never throws. */
export async function openLibrary(): Promise<void> {
  try {
    database = await Database.open()
    await readAll()
    const last = conversations.value.find(({ id }) => id === location.hash.slice(1))
    if (last) current.value = last
  } catch (error) {
    storageTrouble.value = `The browser keeps no history for this page (${nameOf(error)}): conversations last as long as this tab. Export what you need.`
  }
  isLoaded.value = true
  channel?.addEventListener('message', () => void readAll().catch(() => {}))
}

/** Reads the conversations again; another tab has changed them. */
async function readAll(): Promise<void> {
  const all = (await database?.all()) ?? []
  conversations.value = all.sort((a, b) => b.updated - a.updated)
  const now = conversations.value.find(({ id }) => id === current.value.id)
  if (now && now.updated > current.value.updated) current.value = now
}

/** Goes to a conversation, or to a new one. */
export function open(conversation?: Conversation): void {
  const { system, schema } = conversation ?? { system: '', schema: '' }
  current.value = conversation ?? { ...newConversation(Date.now()), system, schema }
  history.replaceState(null, '', conversation ? `#${conversation.id}` : location.pathname + location.search)
}

/** Takes a changed conversation, as it is seen and as it is kept. */
export function update(conversation: Conversation): void {
  if (current.value.id === conversation.id) current.value = conversation
  if (conversation.messages.length === 0) return
  if (current.value.id === conversation.id) history.replaceState(null, '', `#${conversation.id}`)
  const others = conversations.value.filter(({ id }) => id !== conversation.id)
  conversations.value = [conversation, ...others].sort((a, b) => b.updated - a.updated)
  void keep((store) => store.put(conversation))
}

/** A conversation as it is now, wherever it is. */
export function find(id: string): Conversation | undefined {
  return current.value.id === id ? current.value : conversations.value.find((one) => one.id === id)
}

export function rename(conversation: Conversation, title: string): void {
  update({ ...conversation, title: title.trim().slice(0, 200) || titleOf(conversation.messages[0]?.content ?? '') })
}

export function remove({ id, messages }: Conversation): void {
  conversations.value = conversations.value.filter((one) => one.id !== id)
  for (const message of messages) routings.delete(message.id)
  if (current.value.id === id) open()
  void keep((store) => store.remove(id))
}

/** The experts of an answer, if they are known; otherwise they are looked for. */
export function routingOf(message: string): Routing | undefined {
  routingChanges.value // its readers are told of changes
  const known = routings.get(message)
  if (known || looked.has(message)) return known
  looked.add(message)
  database
    ?.routing(message)
    .then((stored) => {
      if (!stored) return
      routings.set(message, Routing.from(stored))
      routingChanges.value++
    })
    .catch(() => {}) // an answer without experts is readable
  return undefined
}

/** The view is told by `routingChanges`, not by this. */
export function setRouting(message: string, routing: Routing): void {
  routings.set(message, routing)
}

export function keepRouting(conversation: string, message: string): void {
  const routing = routings.get(message)
  if (routing && routing.length > 0) void keep((store) => store.putRouting(conversation, message, routing.stored()))
}

/** The file of some conversations, with the experts of their answers. */
export async function exported(list: readonly Conversation[]): Promise<Blob> {
  const found = new Map<string, ReturnType<Routing['stored']>>()
  for (const { id } of list.flatMap(({ messages }) => messages.filter(({ role }) => role === 'assistant'))) {
    const routing = routings.get(id)?.stored() ?? (await database?.routing(id).catch(() => undefined))
    if (!routing) continue
    const { layers, experts, used, start, ids, weights, ends } = routing
    found.set(id, { layers, experts, used, start, ids, weights, ends })
  }
  return new Blob([historyText({ conversations: list, routings: found })], { type: 'application/json' })
}

/** Takes the conversations of a file. Returns how many were new. Throws an Error for a file that is wrong. */
export async function imported(file: Blob): Promise<number> {
  if (file.size > MOST_FILE_BYTES) throw new Error(`the file has more than ${MOST_FILE_BYTES / 2 ** 20} MiB`)
  const { conversations: list, routings: found }: History = readHistory(await file.text())
  let count = 0
  for (const given of list) {
    const known = conversations.value.find(({ id }) => id === given.id)
    if (known?.updated === given.updated && known.messages.length === given.messages.length) continue
    const { conversation, names } = renamed(given)
    update(conversation)
    for (const [before, after] of names) {
      const routing = found.get(before)
      if (!routing) continue
      setRouting(after, Routing.from(routing))
      routingChanges.value++
      keepRouting(conversation.id, after)
    }
    count++
  }
  const first = list[0] && conversations.value.find(({ updated }) => updated === list[0]!.updated)
  if (first && count > 0) open(first)
  return count
}

/** With ids of its own, where it or its messages are known already, in another state. */
function renamed(given: Conversation): { conversation: Conversation; names: ReadonlyMap<string, string> } {
  const taken = new Set(conversations.value.flatMap(({ id, messages }) => [id, ...messages.map((message) => message.id)]))
  const clashes = taken.has(given.id) || given.messages.some(({ id }) => taken.has(id))
  const names = new Map(given.messages.map(({ id }) => [id, clashes ? newId() : id]))
  const of = (id: string | null) => (id === null ? null : names.get(id)!)
  const chosen = Object.entries(given.chosen).map(([parent, child]) => [parent && of(parent), of(child)])
  const messages = given.messages.map((message) => ({ ...message, id: of(message.id)!, parent: of(message.parent) }))
  return { conversation: { ...given, id: clashes ? newId() : given.id, messages, chosen: Object.fromEntries(chosen) }, names }
}

async function keep(work: (store: Database) => Promise<void>): Promise<void> {
  if (!database) return
  try {
    await work(database)
    if (storageTrouble.value) storageTrouble.value = ''
    channel?.postMessage('changed')
  } catch (error) {
    const full = nameOf(error) === 'QuotaExceededError'
    const what = full ? "The browser's storage is full" : `The browser did not store that (${nameOf(error)})`
    storageTrouble.value = `${what}: the last change lasts as long as this tab. Export what you need, and delete other conversations.`
  }
}

function nameOf(error: unknown): string {
  return error instanceof DOMException || error instanceof Error ? error.name : String(error)
}
