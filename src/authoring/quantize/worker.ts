// The file that Piscina starts in every thread that quantizes. Claims pieces until none are left.

import { workerData } from 'piscina'
import { type SeatError, type SeatTask, takeSeat } from '../../runtime/team/seat.js'
import { FileReader, type KnownFile } from '../../runtime/weights/fileReader.js'
import { FileWriter } from './fileWriter.js'
import { openBench, type Part, piecesOf, writePiece } from './pieces.js'

/** The data that every worker gets. */
export interface WorkerData {
  readonly parts: readonly Part[]
  readonly inputs: readonly KnownFile[]
  readonly outputs: readonly string[]
}

const { parts, inputs, outputs } = workerData as WorkerData
const bench = openBench()

export default function seat(task: SeatTask): SeatError | undefined {
  return takeSeat(task, (_, crew) => {
    const reader = new FileReader(inputs, false)
    const writer = new FileWriter(outputs)
    try {
      let first = 0 // number of the current part's first piece
      let index = 0
      for (let piece = crew.claim(); !crew.cancelRequested; piece = crew.claim()) {
        while (index < parts.length && piece >= first + piecesOf(parts[index]!)) first += piecesOf(parts[index++]!)
        if (index === parts.length) return
        crew.progress(writePiece(parts[index]!, piece - first, bench, reader, writer))
      }
    } finally {
      reader.close()
      writer.close()
    }
  })
}
