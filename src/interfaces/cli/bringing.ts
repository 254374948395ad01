// Brings a model to this machine for a command: says how large it is and whether it fits before a byte of weights is downloaded, and shows how far
// the download is. Does not know what the command does with it.

import { byteCount } from '../../base/amounts.js'
import { MixtralError } from '../../base/errors.js'
import type { RemoteName } from '../../registry/names/modelName.js'
import { pullModel } from '../../registry/pull.js'
import { openRemoteGguf } from '../../registry/sources/httpSource.js'
import { findRemoteModel, remoteBytes, remoteText } from '../../registry/sources/remoteModels.js'
import { findLocalModel, type LocalModel, readModelName } from '../../registry/stores/localModels.js'
import { memoryBytes } from '../../runtime/machine/machine.js'
import { fitOf, fitText } from '../inspect/fit.js'
import { factsOf } from '../inspect/modelFacts.js'
import { onInterrupt } from './interrupt.js'
import { ProgressBar } from './progressBar.js'

export interface BringOptions {
  /** In tokens, to reckon memory with. */
  readonly context?: number | undefined
  /** Whether a model that cannot run, or does not fit into memory, is refused before it is downloaded, or only told so. */
  readonly mustRun: boolean
  readonly mustFit: boolean
  /** Whether to ask for what is new of a model that is here. */
  readonly update: boolean
  /** Nothing but errors on stderr. */
  readonly quiet: boolean
}

/** Downloads a model unless it is on this machine. Throws what the registry throws, `MEMORY`, and `ABORTED` if Ctrl-C was pressed. */
export async function bringModel(text: string, { context, mustRun, mustFit, update, quiet }: BringOptions): Promise<LocalModel> {
  const name = readModelName(text)
  const local = await findLocalModel(text)
  if (local && !(update && local.store === 'mixtral')) return local
  const interrupt = onInterrupt()
  const say = (line: string) => void (quiet || process.stderr.write(`${line}\n`))
  try {
    const remote = await findRemoteModel(name as RemoteName, interrupt.signal)
    if (!local) {
      const gguf = await openRemoteGguf(remote, interrupt.signal)
      const facts = factsOf(gguf, context)
      const fit = fitOf(facts, memoryBytes())
      if (facts.refusal !== undefined && mustRun) throw new MixtralError('MODEL', facts.refusal)
      if (fit && !fit.fits && mustFit)
        throw new MixtralError('MEMORY', `${remoteText(remote)} ${fitText(fit)}; with --ram SIZE it runs in less`)
      const verdict = fit ? fitText(fit) : `cannot run here: ${facts.refusal}`
      say(`${remoteText(remote)}: ${byteCount(remoteBytes(remote))} to download; it ${verdict}`)
    }
    const bar = new ProgressBar('downloading', byteCount)
    try {
      return await pullModel(
        name as RemoteName,
        {
          signal: interrupt.signal,
          onProgress: ({ loaded, total }) => bar.update(loaded, total),
          onWait: (pid) => say(`process ${pid} is downloading it, waiting`),
        },
        remote,
      )
    } catch (error) {
      const stopped = error instanceof MixtralError && error.code === 'ABORTED'
      if (stopped) bar.clear()
      if (stopped)
        say(`stopped; mixtral pull ${remoteText(remote)} goes on from here, mixtral rm ${remoteText(remote)} throws away what came`)
      throw error
    } finally {
      bar.clear()
    }
  } finally {
    interrupt.release()
  }
}
