// Properties are tried with the same inputs in every run of `npm test`, so that a change is judged by what it changes.
// PROPERTY_SEED=random tries others, and a number repeats those of a report.

import fc from 'fast-check'

const { PROPERTY_SEED: given = '1' } = process.env
if (given !== 'random') fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(given) })
