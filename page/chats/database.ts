// Where the browser keeps conversations: an IndexedDB of two stores, since the experts of answers are large and read
// rarely. Owns its names and versions.

import type { Conversation } from './conversation.js'
import type { StoredRouting } from './routing.js'

const NAME = 'mixtral-chats'
const CHATS = 'conversations'
const ROUTINGS = 'routings'

interface RoutingRow extends StoredRouting {
  readonly id: string
  readonly conversation: string
}

export class Database {
  readonly #database: IDBDatabase

  private constructor(database: IDBDatabase) {
    this.#database = database
  }

  /** Fails where the browser has no storage for this page, or refuses it. */
  static async open(): Promise<Database> {
    const request = indexedDB.open(NAME, 1)
    request.onupgradeneeded = () => {
      request.result.createObjectStore(CHATS, { keyPath: 'id' })
      request.result.createObjectStore(ROUTINGS, { keyPath: 'id' }).createIndex('conversation', 'conversation')
    }
    const database = await resultOf(request)
    database.onversionchange = () => database.close() // a newer page, in another tab, may change it
    return new Database(database)
  }

  all(): Promise<Conversation[]> {
    return resultOf(this.#database.transaction(CHATS).objectStore(CHATS).getAll())
  }

  async put(conversation: Conversation): Promise<void> {
    const transaction = this.#database.transaction(CHATS, 'readwrite')
    transaction.objectStore(CHATS).put(conversation)
    await endOf(transaction)
  }

  async putRouting(conversation: string, message: string, routing: StoredRouting): Promise<void> {
    const transaction = this.#database.transaction(ROUTINGS, 'readwrite')
    transaction.objectStore(ROUTINGS).put({ id: message, conversation, ...routing } satisfies RoutingRow)
    await endOf(transaction)
  }

  routing(message: string): Promise<StoredRouting | undefined> {
    return resultOf(this.#database.transaction(ROUTINGS).objectStore(ROUTINGS).get(message))
  }

  async remove(conversation: string): Promise<void> {
    const transaction = this.#database.transaction([CHATS, ROUTINGS], 'readwrite')
    transaction.objectStore(CHATS).delete(conversation)
    const routings = transaction.objectStore(ROUTINGS)
    const keys = await resultOf(routings.index('conversation').getAllKeys(conversation))
    for (const key of keys) routings.delete(key)
    await endOf(transaction)
  }
}

function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

function endOf(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error)
    transaction.onerror = () => reject(transaction.error)
  })
}
