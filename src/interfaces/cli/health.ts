// `mixtral health`: whether a server answers, for the checks of images and supervisors. Its exit code is the answer.

import type { Command } from 'commander'
import { MixtralError } from '../../base/errors.js'
import { addDebugFlag, wholeNumber } from './flags.js'
import { wrapped } from './helpText.js'

const DEFAULT_URL = 'http://127.0.0.1:8080'

export function configureHealth(command: Command): void {
  addDebugFlag(command.argument('[url]', 'the address of a server', DEFAULT_URL))
    .option('--timeout <seconds>', 'seconds that the answer may take', wholeNumber(1, 3600), 5)
    .addHelpText(
      'after',
      wrapped(`
Asks a server's /health, which needs no key and answers whatever runs. The exit code is 0 if it is well, 1 if it is not or does not answer.

Examples:
  mixtral health
  mixtral health http://127.0.0.1:11434 --timeout 2`),
    )
    .action(health)
}

async function health(url: string, { timeout }: { readonly timeout: number }): Promise<void> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new MixtralError('OPTION', `${JSON.stringify(url)} is no address, expected one such as ${DEFAULT_URL}`)
  }
  const address = new URL('/health', url).href
  const response = await fetch(address, { signal: AbortSignal.timeout(timeout * 1000), redirect: 'error' }).catch((cause: Error) => {
    const why =
      cause.name === 'TimeoutError' ? `no answer within ${timeout} s` : ((cause.cause as Error | undefined)?.message ?? cause.message)
    throw new MixtralError('IO', `${address}: ${why}`, { cause })
  })
  await response.body?.cancel()
  if (!response.ok) throw new MixtralError('IO', `${address} answers ${response.status}, expected 200`)
  process.stdout.write('ok\n')
}
