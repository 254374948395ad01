// Reads and writes importance matrices as files, in either form of llama.cpp. Owns which form a file has.

import { checkText, MixtralError } from '../../base/errors.js'
import { FileSource, impostorOf } from '../../base/files/byteSource.js'
import { DraftFile } from '../../base/files/draftFile.js'
import { limits } from '../../base/limits.js'
import { encodeHeader } from '../../format/gguf/encodeHeader.js'
import { planGgufForm, readGgufForm } from './ggufForm.js'
import { checkImatrix, type Imatrix } from './imatrix.js'
import { decodeLegacy, encodeLegacy } from './legacyForm.js'

/**
 * Reads an importance matrix of this library or of llama.cpp, GGUF or the old form. Throws `IO` if the file cannot be
 * read, `GGUF` if it is no importance matrix or a damaged one.
 * @example const { entries } = await readImatrix('mixtral.imatrix.gguf')
 */
export async function readImatrix(path: string): Promise<Imatrix> {
  checkText('the path of an importance matrix', path)
  const source = await FileSource.open(path)
  try {
    if (source.bytes < 8 || source.bytes > limits.imatrixBytes.most)
      throw new MixtralError('GGUF', `${path}: ${source.bytes} bytes, expected an importance matrix of 8 to ${limits.imatrixBytes.most}`)
    const start = await source.read(0, 8)
    const impostor = impostorOf(start)
    if (impostor !== undefined) throw new MixtralError('GGUF', `${path}: ${impostor}`)
    const magic = new TextDecoder().decode(start.subarray(0, 4))
    return magic === 'GGUF' ? await readGgufForm(source) : decodeLegacy(await source.read(0, source.bytes), path)
  } finally {
    await source.close()
  }
}

/**
 * Writes an importance matrix, in llama.cpp's old form if the name ends in `.dat`, else as a GGUF. The file gets its
 * name when all of it is written. Throws `IO`, and `OPTION` for what is no importance matrix, or has numbers that a
 * file cannot hold.
 * @example await writeImatrix('mixtral.imatrix.gguf', await collectImatrix(model, text))
 */
export async function writeImatrix(path: string, imatrix: Imatrix): Promise<void> {
  checkText('the path of an importance matrix', path)
  checkImatrix(imatrix)
  const views = path.endsWith('.dat') ? encodeLegacy(imatrix).map((bytes) => ({ bytes, pad: 0 })) : ggufPieces(imatrix)
  const pieces = views.map(({ bytes, pad }) => ({ bytes: bytes.slice(), pad })) // they are written while the caller goes on
  const draft = await DraftFile.create(
    path,
    pieces.reduce((sum, { bytes, pad }) => sum + bytes.length + pad, 0),
  )
  try {
    let at = 0
    for (const { bytes, pad } of pieces) {
      await draft.write(bytes, at)
      at += bytes.length + pad
    }
    await draft.seal()
    await draft.publish()
  } finally {
    await draft.discard()
  }
}

/** Parts of a GGUF, and the zeros after each. */
function ggufPieces(imatrix: Imatrix): { readonly bytes: Uint8Array; readonly pad: number }[] {
  const { plan, values } = planGgufForm(imatrix)
  const { bytes: header, tensors, fileBytes } = encodeHeader(plan)
  const data = values.map(({ buffer }, i) => {
    const bytes = new Uint8Array(buffer)
    const end = tensors[i]!.offset + bytes.length
    return { bytes, pad: (tensors[i + 1]?.offset ?? fileBytes) - end }
  })
  return [{ bytes: header, pad: 0 }, ...data]
}
