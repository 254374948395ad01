// The package in a CommonJS program, where Node can require ESM.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const cwd = fileURLToPath(new URL('../../', import.meta.url))

test.skipIf(!('require_module' in process.features))('the package can be required', async () => {
  const code = "const { MixtralModel, Tokenizer } = require('mixtral-wasm'); console.log(typeof MixtralModel.load, typeof Tokenizer.load)"
  const { stdout } = await promisify(execFile)(process.execPath, ['--no-warnings', '--input-type=commonjs', '--eval', code], { cwd })
  expect(stdout).toBe('function function\n')
})
