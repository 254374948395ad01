// The file that Piscina starts in every thread that quantizes. Claims units until none are left.

import { workerData } from 'piscina'
import { unitFinder } from '../../runtime/team/crew.js'
import { type SeatError, type SeatTask, takeSeat } from '../../runtime/team/seat.js'
import { FileReader, type KnownFile } from '../../runtime/weights/fileReader.js'
import { FileWriter, openBench, unitsOf, type WeightRun, writeUnit } from './units.js'

/** The data that every worker gets. */
export interface WorkerData {
  readonly parts: readonly WeightRun[]
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
      const find = unitFinder(parts.map(unitsOf))
      for (let place = find(crew.claim()); place && !crew.cancelRequested; place = find(crew.claim())) {
        crew.progress(writeUnit(parts[place.part]!, place.unit, bench, reader, writer))
      }
    } finally {
      reader.close()
      writer.close()
    }
  })
}
