// What `mixtral-wasm/server` exports: the second barrel, apart from the library's own, so that importing the library
// loads no server.

export type { ServerApp } from './interfaces/server/app.js'
export type { CatalogEvent, CatalogLoadOptions, CatalogOptions } from './interfaces/server/models/catalogOptions.js'
export { ModelCatalog } from './interfaces/server/models/modelCatalog.js'
export type { RequestLog } from './interfaces/server/requestLog.js'
export type { ServerOptions } from './interfaces/server/settings.js'
export { createApp, type RunningServer, type ServeOptions, serve } from './interfaces/service/serve.js'
