// Routes that another room adds to an application, such as those of files and batches, which stand above it: what it
// gives them, and what it needs of them. Does not know what they do.

import type { Hono } from 'hono'
import type { Admission } from './admission.js'
import type { ModelHost } from './models/modelHost.js'
import type { Operation } from './openapi/operations.js'
import type { Exchange } from './requestLog.js'
import type { Keys } from './security/keys.js'
import type { Settings } from './settings.js'
import type { ConnectionSocket } from './sockets/connections.js'
import type { RequestSpan } from './tracing/tracing.js'

/** What @hono/node-server gives beside a request. */
export interface NodeBindings {
  readonly incoming?: { readonly httpVersion?: string; readonly socket?: ConnectionSocket }
  readonly outgoing?: { destroy?: () => void }
}

export type Env = { Variables: { exchange: Exchange; span: RequestSpan | undefined } }

/** What an application is made of. */
export interface AppParts {
  readonly app: Hono<Env>
  readonly host: ModelHost
  readonly keys: Keys
  readonly admission: Admission
  readonly settings: Settings
  /** Whether requests must name a model: there are several. */
  readonly needsModel: boolean
}

/** What was added. */
export interface Added {
  /** What the routes are, by their paths, for the document. */
  readonly operations: Readonly<Record<string, Operation>>
  /** Ends what goes on beside requests. Never throws. */
  stop(): Promise<void>
  /** No request runs any more. Never throws. */
  close(): Promise<void>
}

/** Adds routes, for which keys are asked as for all others. */
export type MoreRoutes = (parts: AppParts) => Added
