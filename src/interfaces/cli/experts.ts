// `mixtral experts`: what a model's experts do on texts. Owns the flags, the domains of a command line, and the files
// that are written; the figures are those of evaluation/experts/, and expertsText.ts shows them.

import { basename } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { quoted } from '../../base/errors.js'
import { refuseInput } from '../../base/files/draftFile.js'
import type { DomainStatistics } from '../../evaluation/experts/domainFigures.js'
import { type DomainText, type ExpertStatistics, expertStatistics } from '../../evaluation/experts/expertStatistics.js'
import { encodeNpy } from '../../format/tensors/npy.js'
import type { Progress } from '../../runtime/engine/engineOptions.js'
import { inputFiles } from '../../runtime/engine/loadedAdapters.js'
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js'
import { expertsReport, shownTokens } from './expertsReport.js'
import { expertsCsv, expertsText } from './expertsText.js'
import { checkOutputs, checkPlaces, readTextFile, writeOutput } from './files.js'
import { ANY_MODEL, addJudgeFlags, expertsOption, type JudgeFlags, wholeNumber } from './flags.js'
import { wrapped } from './helpText.js'
import { onInterrupt } from './interrupt.js'
import { jsonLine, print, say, widthOf } from './layout.js'
import { withModel } from './loading.js'
import { ProgressLine } from './progressLine.js'
import { failMissing } from './usageErrors.js'

interface StatisticsFlags extends JudgeFlags {
  readonly domain?: readonly NamedFile[]
  readonly tokens?: number
  readonly csv?: string
  readonly npy?: string
  readonly html?: string
}

interface NamedFile {
  readonly domain: string
  readonly file: string
}

const USUAL_CONTEXT = 512

export function configureExperts(command: Command): void {
  command
    .argument('<model>', ANY_MODEL)
    .argument('[files...]', 'texts, UTF-8; each is a domain of its own, named as the file is, or as its path where several have one name')
    .option('--domain <name=file>', 'a text of a domain; a domain may have several', namedFile)
    .option('--tokens <n>', 'most tokens of each domain (default: all)', wholeNumber(1))
    .option('--html <file>', 'write a report with pictures, and the first tokens in the colors of their experts, for a browser')
    .option('--csv <file>', 'write domain, layer, expert and its shares as a table')
    .option('--npy <file>', 'write the shares as an array: (domains, layers, experts) float32')
  addJudgeFlags(command)
  // Of the model flags, only --context has another meaning here.
  const context = command.options.find(({ long }) => long === '--context')!
  context.short = '-c'
  context.flags = '-c, --context <n>'
  context.description = `tokens of a window (default: ${USUAL_CONTEXT}, or the model's context if that is shorter)`
  command
    .addHelpText(
      'after',
      wrapped(`
Runs texts and counts which experts their tokens go to: the share of each expert, how often the next token stays with the same ones, how even the load is,
and whether domains differ by more than chance. These are the figures of section 5 of the Mixtral paper and of transformers' loss of load balancing.

Examples:
  mixtral experts demo story.txt play.txt
  mixtral experts mixtral:8x7b --domain code=main.c --domain code=parser.c --domain prose=novel.txt --tokens 20000
  mixtral experts mixtral:8x7b wiki.txt code.txt --html report.html
  mixtral experts mixtral:8x7b wiki.txt --json > experts.json
  mixtral experts mixtral:8x7b wiki.txt --csv shares.csv --npy shares.npy`),
    )
    .action((model: string, files: readonly string[], flags: StatisticsFlags) => experts(command, model, files, flags))
}

async function experts(command: Command, model: string, files: readonly string[], flags: StatisticsFlags): Promise<void> {
  const named = [...domainsOf(files), ...(flags.domain ?? [])]
  if (named.length === 0) failMissing(command, 'files', ` or --domain NAME=FILE; ${quoted(model)} is the model`)
  checkOutputs(flags.csv, flags.npy, flags.html)
  await checkPlaces(flags.csv, flags.npy, flags.html)
  const texts: DomainText[] = []
  for (const { domain, file } of named) texts.push({ domain, text: await readTextFile(file) })
  const { tokens, context, csv, npy, html, json } = flags
  const name = model.endsWith('.gguf') ? basename(model) : model
  const start = performance.now()
  const beginning = html === undefined ? 0 : shownTokens(new Set(named.map(({ domain }) => domain)).size)
  const { statistics, spell, report } = await withModel(model, { ...flags, context: context ?? USUAL_CONTEXT }, async (loaded) => {
    for (const out of [csv, npy, html]) {
      if (out !== undefined) await refuseInput(out, [...named.map(({ file }) => file), ...inputFiles(loaded)])
    }
    const bar = new ProgressLine('counting', { unit: 'tokens', quiet: json === true })
    const interrupt = onInterrupt()
    let last: Progress | undefined
    const statistics = await expertStatistics(loaded, texts, {
      ...(tokens !== undefined && { tokens }),
      ...(context !== undefined && { contextLength: context }),
      ...expertsOption(flags),
      beginning,
      signal: interrupt.signal,
      onProgress: (progress) => {
        last = progress
        bar.update(progress.loaded, progress.total)
      },
    }).finally(() => {
      bar.clear()
      interrupt.release()
      if (interrupt.signal.aborted && last) reportPart(last, json === true)
    })
    const spell = (id: number) => loaded.tokenizer.token(id).piece
    const report =
      html === undefined
        ? ''
        : expertsReport({
            model: name,
            statistics,
            spell,
            pieces: (ids) => piecesOf(loaded.tokenizer, ids),
          })
    return { statistics, spell, report }
  })
  const seconds = (performance.now() - start) / 1000
  if (json) process.stdout.write(jsonLine({ model, files: named, ...statistics, domains: statistics.domains.map(withoutText), seconds }))
  else print(expertsText(statistics, { model: name, spell, width: widthOf(process.stdout) }))
  // last: where a disk is full, the figures are not lost
  if (csv !== undefined) await writeOutput(csv, [Buffer.from(expertsCsv(statistics))])
  if (npy !== undefined) await writeOutput(npy, [encodeNpy(sharesOf(statistics))])
  if (html !== undefined) await writeOutput(html, [Buffer.from(report)])
}

/** Figures are of whole texts: of a part there is only how large it was. */
function reportPart({ loaded, total }: Progress, json: boolean): void {
  if (json) process.stdout.write(jsonLine({ interrupted: true, tokens: loaded, of_tokens: total }))
  else say(`interrupted after ${loaded} of ${total} tokens, without figures; --tokens takes fewer of each domain`)
}

/** Tokens are the report's. */
const withoutText = ({ beginning, ...figures }: DomainStatistics) => figures

/** The text of each token; a character in byte tokens comes with its last. */
function piecesOf(tokenizer: Tokenizer, ids: readonly number[]): string[] {
  const decoder = tokenizer.decoder({ special: true })
  const pieces = ids.map((id) => decoder.push(id))
  pieces[pieces.length - 1] += decoder.end()
  return pieces
}

/**
 * Each file as a domain: by its name without the ending; files of one name by their paths without it, or by their whole
 * paths.
 */
function domainsOf(files: readonly string[]): NamedFile[] {
  const plain = (path: string) => path.replace(/(?<=[^/\\])\.[^./\\]+$/, '')
  const forms = [(path: string) => plain(basename(path)), plain]
  const isApart = (file: string, form: (path: string) => string) => files.every((other) => other === file || form(other) !== form(file))
  return files.map((file) => ({ domain: forms.find((form) => isApart(file, form))?.(file) || file, file }))
}

/** (domains, layers, experts) */
function sharesOf({ shape, domains }: ExpertStatistics) {
  const values = Float32Array.from(domains.flatMap(({ layers }) => layers.flatMap(({ shares }) => shares)))
  return { shape: [domains.length, shape.layers, shape.experts], values }
}

function namedFile(text: string, earlier: readonly NamedFile[] = []): NamedFile[] {
  const [, domain, file] = /^([^=]+)=(.+)$/s.exec(text) ?? []
  if (domain === undefined || file === undefined) throw new InvalidArgumentError('Expected a name, = and a file, such as code=main.c.')
  return [...earlier, { domain, file }]
}
