// Turns samples into medians, ratios and shares of the roofline, and those into text.

export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * Adds to a measurement what follows from its samples. A ratio says how many times better the first column is; 1 is
 * equal.
 */
export function conclude(file, bandwidth, { engines, tests, failures }) {
  const [first] = engines
  return {
    readBytesPerSecond: bandwidth,
    failures,
    engines: engines.map(({ about, loadSeconds, peakRssBytes }) => {
      const load = loadSeconds.length > 0 ? median(loadSeconds) : undefined
      const { weightBytes, kvBytes } = about
      return {
        ...{ about, loadSeconds, peakRssBytes, load },
        loadRatio: load && load / median(first.loadSeconds),
        rssRatio: peakRssBytes && peakRssBytes / first.peakRssBytes,
        // Memory of the process beyond weights and KV cache, where the engine reports their sizes.
        ...(weightBytes === undefined ? {} : { extraRssBytes: peakRssBytes - weightBytes - kvBytes }),
      }
    }),
    tests: tests.map(({ kind, tokens, depth, samples, agreement }) => {
      const bytes = file.activeBytes + file.kvBytesPerToken * (depth + tokens / 2)
      return {
        ...{ kind, tokens, depth },
        engines: samples.map((own, i) => {
          const tokensPerSecond = median(own)
          return {
            ...{ tokensPerSecond, samples: own, agreement: agreement[i] },
            ratio: median(samples[0]) / tokensPerSecond,
            ...(kind === 'decode' ? { rooflineShare: (tokensPerSecond * bytes) / bandwidth } : {}),
          }
        }),
      }
    }),
  }
}

/** Names of columns: the engine, and where it is there more than once, its runtime and kernels too. */
export function columnNames(engines) {
  return engines.map(({ about }, _, { length }) => {
    const same = engines.filter((other) => other.about.engine === about.engine).length
    return same > 1 && length > 1 ? `${about.runtime} ${about.kernels}` : about.engine
  })
}

const gigabytes = (bytes) => (bytes === undefined ? '-' : (bytes / 1e9).toFixed(2))
const speed = (value) => (value === undefined ? '-' : value.toFixed(value < 100 ? 1 : 0))
const times = (value) => (value === undefined ? '-' : value.toFixed(2))

export function headerText({ machine, versions }) {
  const { cpu, cores, features, memoryBytes, system, loadAverage, date } = machine
  return [
    `${cpu}, ${cores} cores, ${(memoryBytes / 2 ** 30).toFixed(0)} GiB, ${features.join(' ')}; ${system}; ${date}`,
    ...(loadAverage < 0.5
      ? []
      : [`load average ${loadAverage.toFixed(1)} at the start: not alone on the machine, do not trust the numbers`]),
    ...versions.map(versionText),
  ].join('\n')
}

function versionText({ engine, version, runtime, kernels, llamaCpp }) {
  const parts = [runtime, kernels && `kernels ${kernels}`, llamaCpp && `llama.cpp ${llamaCpp}`].filter(Boolean)
  return [`${engine} ${version}`, ...parts].join(', ')
}

/** The table of one file and thread count. */
export function tableText({ file, threads, reading, readBytesPerSecond, engines, tests, failures }) {
  const names = columnNames(engines)
  const { load } = engines[0]
  const rows = [
    ['', ...withRatios(names, () => 'ratio')],
    ...tests.flatMap(({ kind, tokens, depth, engines: results }) => {
      const speeds = results.map(({ tokensPerSecond, samples }) => `${speed(tokensPerSecond)} ${range(samples)}`)
      const shares = results.flatMap(({ rooflineShare: share }) => (share === undefined ? [] : [`${(100 * share).toFixed(0)} %`]))
      const label = kind === 'prefill' ? `prefill ${tokens}, tokens/s` : `decode ${tokens} after ${depth}, tokens/s`
      return [
        [label, ...withRatios(speeds, (i) => times(results[i].ratio))],
        ...(shares.length === 0 ? [] : [['  share of the roofline', ...withRatios(shares, () => '')]]),
      ]
    }),
    [
      'load, s',
      ...withRatios(
        engines.map(({ load }) => times(load)),
        (i) => times(engines[i].loadRatio),
      ),
    ],
    [
      'peak RSS, GB',
      ...withRatios(
        engines.map(({ peakRssBytes }) => gigabytes(peakRssBytes)),
        (i) => times(engines[i].rssRatio),
      ),
    ],
  ]
  const extra = engines.map(({ extraRssBytes }) => extraRssBytes).find((bytes) => bytes !== undefined)
  const agreement = tests.flatMap(({ engines: results }) => results.slice(1).flatMap((result) => result.agreement ?? []))
  return [
    `${file.name}, ${threads} thread(s): ${gigabytes(file.bytes)} GB, active per token ${(file.activeBytes / 1e6).toFixed(0)} MB`,
    `roofline ${gigabytes(readBytesPerSecond)} GB/s, ${speed(readBytesPerSecond / file.activeBytes)} tokens/s; ` +
      `reading the file takes ${times(reading.again)} s, into fresh memory ${times(reading.fresh)} s`,
    align(rows),
    ...depthText({ engines, tests }),
    ...failures,
    ...engines.flatMap(({ about }) => (about.buffersMiB ? [`${about.engine}'s weights: ${bufferText(about.buffersMiB)}`] : [])),
    ...(agreement.length > 0 ? [`the peers' greedy picks are those of the first column in ${percents(agreement)}`] : []),
    ...(load === undefined
      ? []
      : [`mixtral-wasm loads in ${times(load / reading.again)} x the time of reading, ${times(load / reading.fresh)} x into fresh memory`]),
    ...(extra === undefined ? [] : [`mixtral-wasm takes ${(extra / 1e6).toFixed(0)} MB besides weights and KV cache`]),
  ].join('\n')
}

function bufferText(buffersMiB) {
  return Object.entries(buffersMiB)
    .map(([name, size]) => `${name} ${size.toFixed(0)} MiB`)
    .join(', ')
}

/** The cells of a row, each but the first followed by a ratio. */
function withRatios(cells, ratio) {
  return cells.flatMap((cell, i) => (i === 0 ? [cell] : [cell, ratio(i)]))
}

function range(samples) {
  return `(${speed(Math.min(...samples))}-${speed(Math.max(...samples))})`
}

function percents(shares) {
  const [least, most] = [Math.min(...shares), Math.max(...shares)].map((share) => (100 * share).toFixed(0))
  return least === most ? `${least} %` : `${least} to ${most} %`
}

function align(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}

/**
 * How much longer a token takes after the longest context than after the shortest, per column; empty where only one was
 * measured.
 */
function depthText({ engines, tests }) {
  const decodes = tests.filter(({ kind }) => kind === 'decode').toSorted((a, b) => a.depth - b.depth)
  if (decodes.length < 2) return []
  const [short, long] = [decodes[0], decodes.at(-1)]
  const slower = columnNames(engines).map(
    (name, i) => `${name} ${times(short.engines[i].tokensPerSecond / long.engines[i].tokensPerSecond)}`,
  )
  return [`a token after ${long.depth} tokens takes this many times that after ${short.depth}: ${slower.join(', ')}`]
}

export function startUpText({ startUp, wasmBytes }) {
  const milliseconds = (value) => `${value.toFixed(0)} ms`
  const rows = startUp.map(({ command, empty, importing, firstToken }) => [
    command.join(' '),
    ...[empty, importing, firstToken].map(milliseconds),
  ])
  const head = ['start-up', 'empty module', 'the library adds', 'demo model to its first token']
  return `${align([head, ...rows])}\nWebAssembly shipped: ${(wasmBytes / 1e3).toFixed(0)} KB`
}

/** Across thread counts: how decode of one file gains from the second thread and on, per column. */
export function scalingText(results) {
  const [one, ...more] = results.toSorted((a, b) => a.threads - b.threads)
  const speeds = ({ engines, tests }) => {
    const decode = tests.find(({ kind }) => kind === 'decode')
    return new Map(columnNames(engines).map((name, i) => [name, decode?.engines[i].tokensPerSecond]))
  }
  const base = speeds(one)
  const lines = more.map((result) => {
    const gains = Array.from(speeds(result), ([name, value]) => `${name} ${times(value / base.get(name))}`)
    return `${one.file.name}, decode with ${result.threads} threads against ${one.threads}: ${gains.join(', ')}`
  })
  return lines.join('\n')
}
