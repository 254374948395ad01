// Many more threads than cores, in several groups: no step hangs, and logits are those of one thread. The whole of it
// is MIXTRAL_TEST_STEPS=10000, with 64 threads, which takes half an hour on two cores.

import { afterAll, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'
import { demoPath } from '../model/demoFiles.js'

const steps = Number(process.env.MIXTRAL_TEST_STEPS ?? 24)
const threads = process.env.MIXTRAL_TEST_STEPS ? 64 : 20
const contextLength = 128

const models: MixtralModel[] = []
afterAll(() => Promise.all(models.map((model) => model.close())))

async function open(threads: number): Promise<MixtralModel> {
  const model = await MixtralModel.load(demoPath(), { threads, contextLength })
  models.push(model)
  return model
}

test(
  `${threads} threads take ${steps} steps`,
  async () => {
    const [one, many] = [await open(1), await open(threads)]
    const ids = Array.from({ length: contextLength }, (_, i) => (i * 7919 + 13) % one.config.vocabSize)
    for (let step = 0; step < steps; ) {
      await many.reset()
      for (let count = 1; count <= contextLength && step < steps; count++, step++) {
        const logits = await many.evaluate(ids.slice(0, count))
        if (step % 20 === 0) expect(logits).toEqual(await one.evaluate(ids.slice(0, count)))
      }
    }
  },
  120_000 + 500 * steps,
)
