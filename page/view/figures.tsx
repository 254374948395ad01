// What an answer has cost: tokens, tokens a second, and how it ended.

import type { Finish, Message } from '../chats/conversation.js'

const ENDS: Readonly<Partial<Record<Finish, string>>> = {
  length: 'cut: no more tokens were allowed',
  stopped: 'stopped',
  tool_calls: 'asks for a tool',
}

export function Figures({ message }: { readonly message: Message }) {
  const { figures, finish } = message
  const end = finish && ENDS[finish]
  const parts = figures ? [tokensOf(figures.completionTokens), ...rates(figures)] : []
  const title =
    figures && figures.promptTokens > 0 ? `prompt: ${figures.promptTokens} tokens, ${figures.cachedTokens} of them in the cache` : undefined
  const all = [...parts, ...(end ? [end] : [])]
  return all.length > 0 ? (
    <p class="figures" title={title}>
      {all.join(' · ')}
    </p>
  ) : null
}

/** Of less, pieces that came together would tell of the reading and not of the writing. */
const LEAST_SECONDS = 0.1

function rates({ completionTokens, waitSeconds, writeSeconds, promptTokens, cachedTokens }: NonNullable<Message['figures']>): string[] {
  const rate = writeSeconds >= LEAST_SECONDS && completionTokens > 1 ? [`${perSecond((completionTokens - 1) / writeSeconds)} tokens/s`] : []
  const first = waitSeconds > 0 ? [`first after ${waitSeconds.toFixed(waitSeconds < 10 ? 2 : 0)} s`] : []
  const read = promptTokens > 0 ? [`prompt ${count(promptTokens)}${cachedTokens > 0 ? `, ${count(cachedTokens)} cached` : ''}`] : []
  return [...rate, ...first, ...read]
}

export function perSecond(rate: number): string {
  return rate.toFixed(rate < 10 ? 1 : 0)
}

function tokensOf(tokens: number): string {
  return tokens === 1 ? '1 token' : `${count(tokens)} tokens`
}

export function count(tokens: number): string {
  return tokens.toLocaleString('en')
}
