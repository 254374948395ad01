// GET /v1/models for clients of Anthropic's API, which name its version in a header. All models are on one page.

import type { OfferedModel } from '../models/modelHost.js'

export const VERSION_HEADER = 'anthropic-version'

export function anthropicModel({ name, created }: OfferedModel): object {
  return { type: 'model', id: name, display_name: name, created_at: new Date(created * 1000).toISOString() }
}

export function anthropicModels(offered: readonly OfferedModel[]): object {
  const [first, last] = [offered[0]?.name ?? null, offered.at(-1)?.name ?? null]
  return { data: offered.map(anthropicModel), has_more: false, first_id: first, last_id: last }
}
