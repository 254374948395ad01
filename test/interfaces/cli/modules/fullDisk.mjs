// Preloaded into the command: every disk has a thousand bytes left.

import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

fs.promises.statfs = async () => ({ bavail: 1000, bsize: 1, blocks: 1e6 })
syncBuiltinESMExports()
