// `npm test`: runs the suite group by group with Node's own test runner and says at the end what passed, failed and was skipped.
//   node scripts/test.mjs [--only GROUP]… [FILE…]     GROUP: unit, service, conformance, fuzz, peers, console, guests
//
// The rule it must not break: nothing is passed over in silence, and nothing hangs. What a machine can't run is a skipped test
// with a reason; every file has a time limit, and so has the whole suite.
import { spawnSync } from 'node:child_process'
import fs, { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { finished } from 'node:stream/promises'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Tally } from './test-tally.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const own = join(root, 'node_modules/.bin/node')
const NODE_MAJOR_MIN = 24
/** The whole suite ends by then, whatever hangs. */
const SUITE_LIMIT_SECONDS = 20 * 60
/** More files than these that fail are no accident of a busy machine. */
const SECOND_TRIES_MAX = 3

/** Folders of src whose tests start services and commands. */
const SERVICE = 'cli|lab|manage'

/**
 * Files run two at a time: those with guests and peers mostly wait for them. `programs`: they run programs of others (kernels of guests,
 * VMMs, browsers, services) against a clock: such a file may be tried a second time, which the report tells. `alone`: files that measure,
 * or take both processors; nothing runs beside them. `first`: files that take long begin first, so that none is left over at the end.
 */
const groups = [
  {
    name: 'unit',
    patterns: [`src/!(${SERVICE})/**/*.test.ts`, 'scripts/**/*.test.mjs'],
    concurrency: 2,
    limitSeconds: 60,
    packages: false,
  },
  {
    name: 'service',
    patterns: [`src/@(${SERVICE})/**/*.test.ts`],
    concurrency: 2,
    limitSeconds: 120,
    packages: false,
    programs: true,
  },
  {
    name: 'conformance',
    patterns: ['test/conformance/**/*.test.ts'],
    concurrency: 2,
    limitSeconds: 120,
    packages: false,
    first: ['test/conformance/verify.test.ts', 'test/conformance/failures.test.ts'],
  },
  { name: 'fuzz', patterns: ['test/fuzz/**/*.test.ts'], concurrency: 2, limitSeconds: 180, packages: false },
  {
    name: 'peers',
    patterns: ['test/peers/**/*.test.ts'],
    concurrency: 2,
    limitSeconds: 300,
    packages: true,
    programs: true,
    alone: ['test/peers/bandwidth.test.ts', 'test/peers/uplink-team.test.ts', 'test/peers/vmq.test.ts'],
    first: ['test/peers/cluster.test.ts'],
  },
  { name: 'console', patterns: ['test/console/**/*.test.ts'], concurrency: 1, limitSeconds: 300, packages: true, programs: true },
  {
    name: 'guests',
    patterns: ['test/guests/**/*.test.ts'],
    concurrency: 2,
    limitSeconds: 300,
    packages: true,
    programs: true,
    first: ['test/guests/vf-migration.test.ts'],
  },
]

if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR_MIN) {
  if (!existsSync(own)) {
    console.error(
      `test: Node ${process.versions.node} is too old, at least ${NODE_MAJOR_MIN} is needed; "npm test" brings its own`,
    )
    process.exit(2)
  }
  const again = spawnSync(own, process.argv.slice(1), { stdio: 'inherit' })
  process.exit(again.status ?? 1)
}

// Every file is a process of its own; what Node makes of the sources is kept between them.
process.env.NODE_COMPILE_CACHE ??= join(root, '.cache/node')

const { names, files } = options()
const started = performance.now()
const deadline = AbortSignal.timeout(SUITE_LIMIT_SECONDS * 1000)
const tally = new Tally()
let secondTries = 0
for (const group of groups) if (names.includes(group.name)) await runGroup(group)

for (const line of tally.report((performance.now() - started) / 1000)) console.log(line)
if (deadline.aborted) console.log(`test: stopped after ${SUITE_LIMIT_SECONDS} seconds, the limit of the whole suite`)
process.exit(tally.failed || deadline.aborted ? 1 : 0)

function options() {
  const known = groups.map((group) => group.name)
  try {
    const { values, positionals } = parseArgs({
      options: { only: { type: 'string', multiple: true } },
      allowPositionals: true,
    })
    const only = (values.only ?? known).flatMap((value) => value.split(','))
    for (const name of only)
      if (!known.includes(name)) throw new Error(`there is no group "${name}"; groups: ${known.join(', ')}`)
    for (const file of positionals) if (!existsSync(join(root, file))) throw new Error(`there is no file ${file}`)
    return { names: only, files: positionals.map((file) => join(root, file)) }
  } catch (error) {
    console.error(`test: ${error.message}`)
    console.error('usage: node scripts/test.mjs [--only GROUP]… [FILE…]')
    process.exit(2)
  }
}

async function runGroup(group) {
  const { name, patterns, concurrency, packages, alone = [], first = [] } = group
  const all = patterns.flatMap((pattern) => fs.globSync(pattern, { cwd: root })).map((file) => join(root, file))
  const chosen = (files.length === 0 ? all : all.filter((file) => files.includes(file))).sort()
  if (chosen.length === 0) {
    if (files.length === 0) console.log(`\n== ${name}: no files`)
    return
  }
  console.log(`\n== ${name}: ${chosen.length} ${chosen.length === 1 ? 'file' : 'files'}`)
  if (packages) await installPackages()
  const from = performance.now()
  const report = new spec()
  report.on('data', (chunk) => process.stdout.write(chunk))
  const isOneOf = (list) => (file) => list.includes(relative(root, file))
  const byStart = Object.groupBy(chosen, (file) => [alone, first].findIndex((list) => isOneOf(list)(file)))
  for (const file of byStart[0] ?? []) await tryFile(file, report, { ...group, concurrency: 1 })
  const waiting = [...(byStart[1] ?? []), ...(byStart[-1] ?? [])]
  const lane = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) await tryFile(file, report, group)
  }
  await Promise.all(Array.from({ length: concurrency }, lane))
  report.end()
  await finished(report)
  console.log(`== ${name}: ${((performance.now() - from) / 1000).toFixed(1)} s`)
}

async function tryFile(file, report, group) {
  const first = await runFile(file, report, group)
  if (!group.programs || !first.failed || secondTries === SECOND_TRIES_MAX || deadline.aborted) return tally.add(first)
  secondTries++
  console.log(`test: ${relative(root, file)} failed; it runs a second time`)
  tally.addSecondTry(first, await runFile(file, report, group))
}

/**
 * Runs one file in its own process, which is ended at the limit: node:test's own time limit ends tests, not a process that still
 * holds something open. Its results are shown as they come, or in one piece where other files run beside it.
 */
async function runFile(file, report, { name: group, limitSeconds, concurrency }) {
  const tally = new Tally()
  const limit = AbortSignal.timeout(limitSeconds * 1000)
  const from = performance.now()
  const events = []
  const stream = run({
    files: [file],
    cwd: root,
    isolation: 'process',
    // A little earlier, so that a hanging test is named before its process is stopped.
    timeout: limitSeconds * 900,
    signal: AbortSignal.any([limit, deadline]),
  })
  for await (const event of stream) {
    const { type, data } = event
    if (type === 'test:pass') tally.passes(data, group, place(data))
    else if (type === 'test:fail') tally.fails(data, group, place(data))
    else if (type === 'test:summary' && data.file === undefined) tally.counts(data.counts)
    // Each file's own summary would bury the results; the counts come once, at the end.
    if (type === 'test:summary' || (type === 'test:diagnostic' && data.file === undefined)) continue
    if (concurrency === 1) report.write(event)
    else events.push(event)
  }
  tally.took(relative(root, file), (performance.now() - from) / 1000)
  for (const event of events) report.write(event)
  if (limit.aborted) console.log(`test: ${relative(root, file)} was stopped: it did not end within ${limitSeconds} s`)
  return tally
}

function place(event) {
  return event.file === undefined ? '' : relative(root, event.file)
}

/** Installs what the tests with real peers and guests need, once. Where that is not possible, the tests themselves say so. */
async function installPackages() {
  installPackages.done ??= (async () => {
    // Where nobody can be asked, as in CI, running the tests is the consent to what they need.
    if (process.stdin.isTTY !== true) process.env.VMSWITCH_YES ??= '1'
    const { ensurePackages } = await import('./system-packages.mjs')
    await ensurePackages()
  })()
  try {
    await installPackages.done
  } catch (error) {
    console.log(`test: system packages could not be installed: ${error.message}`)
  }
}
