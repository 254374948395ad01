// What `mixtral-wasm/server` exports: the second barrel. It is apart from the library's own so that nobody loads a
// server who does not want one.

export { createApp, type ServerApp } from './interfaces/server/app.js'
export type { RequestLog } from './interfaces/server/requestLog.js'
export { type RunningServer, type ServeOptions, serve } from './interfaces/server/serve.js'
export type { ServerOptions } from './interfaces/server/settings.js'
