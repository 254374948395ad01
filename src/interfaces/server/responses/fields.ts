// The fields of a request to OpenAI's Responses API, as far as anything is done with them.

import { z } from 'zod'
import { boundedList, MOST_MESSAGES, record } from '../security/fields.js'

const tool = z.object({
  type: z.string(),
  name: z.string().nullish(),
  description: z.string().nullish(),
  parameters: record.nullish(),
  strict: z.boolean().nullish(),
})

const toolChoice = z.object({
  type: z.string(),
  name: z.string().nullish(),
  mode: z.string().nullish(),
  tools: boundedList(record, 1024).nullish(),
})

export const responseFields = z.object({
  model: z.string().nullish(),
  input: z.union([z.string(), boundedList(record, MOST_MESSAGES, 1)], { error: 'expected a string or a list of items that is not empty' }),
  instructions: z.string().nullish(),
  stream: z.boolean().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  include: boundedList(z.string(), 100).nullish(),
  tools: boundedList(tool, 1024).nullish(),
  tool_choice: z.union([z.string(), toolChoice]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  text: z.object({ format: record.nullish() }).nullish(),
  metadata: record.nullish(),
  truncation: z.enum(['auto', 'disabled']).nullish(),
  previous_response_id: z.string().nullish(),
  conversation: z.unknown().optional(),
  background: z.boolean().nullish(),
  prompt: z.unknown().optional(),
})

export type ResponseRequest = z.infer<typeof responseFields>
