// A model's name to the path of its file, wherever on this machine it is. What names there are and where is looked is the registry's business.

import { localModel } from '../../registry/stores/localModels.js'

/** The path of a model, or of its first shard. Throws `IO` for a name that is none, and for a model that is not on this machine. */
export async function resolveModelPath(name: string): Promise<string> {
  return (await localModel(name)).path
}
