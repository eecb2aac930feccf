// `npm run conformance`: runs the tests whose names carry rule numbers and says, section by section, which rules of the specifications
// are proved, which have no meaning here, and which are open.
//   npm run conformance [-- --json] [-- --guests] [-- --write-docs] | [-- --mutate [RULE…]]
// Exit status: 0 all tagged tests passed; 1 one failed, or a name carries a number that is no rule; 2 wrong arguments.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Conformance, readInventory, TAGGED, taggedFiles, withNotApplicable } from './conformance-rules.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const own = join(root, 'node_modules/.bin/node')
const NODE_MAJOR_MIN = 24
const FILE_LIMIT_MS = 180_000
const PATTERNS = ['src/**/*.test.ts', 'test/conformance/**/*.test.ts']
const GUEST_PATTERNS = ['test/peers/**/*.test.ts', 'test/guests/**/*.test.ts']

if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR_MIN) {
  if (!existsSync(own)) {
    console.error(
      `conformance: Node ${process.versions.node} is too old, at least ${NODE_MAJOR_MIN} is needed; run "npm run setup"`,
    )
    process.exit(2)
  }
  process.exit(spawnSync(own, process.argv.slice(1), { stdio: 'inherit' }).status ?? 1)
}
process.env.NODE_COMPILE_CACHE ??= join(root, '.cache/node')

const usage = 'usage: npm run conformance [-- --json] [-- --guests] [-- --write-docs] [-- --mutate [RULE…]]'
let options
try {
  options = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      guests: { type: 'boolean', default: false },
      mutate: { type: 'boolean', default: false },
      'write-docs': { type: 'boolean', default: false },
    },
    allowPositionals: true,
  })
  if (options.positionals.length > 0 && !options.values.mutate) throw new Error('only --mutate takes rules')
} catch (error) {
  console.error(`conformance: ${error.message}\n${usage}`)
  process.exit(2)
}
const { json, guests, mutate } = options.values
const inventory = readInventory(root)

if (options.values['write-docs']) {
  const file = join(root, 'docs/conformance.md')
  writeFileSync(file, withNotApplicable(readFileSync(file, 'utf8'), inventory))
} else if (mutate) {
  const { mutateAll } = await import('./conformance-mutate.mjs')
  process.exitCode = await mutateAll(root, { only: options.positionals, json, inventory })
} else process.exitCode = await prove()

async function prove() {
  const result = new Conformance(inventory)
  const troubles = []
  const files = taggedFiles(root, guests ? [...PATTERNS, ...GUEST_PATTERNS] : PATTERNS)
  const stream = run({
    files: files.map((file) => join(root, file)),
    cwd: root,
    concurrency: Math.min(2, cpus().length),
    timeout: FILE_LIMIT_MS,
    testNamePatterns: [TAGGED],
  })
  let done = 0
  for await (const { type, data } of stream) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    if (!json && process.stderr.isTTY) process.stderr.write(`\r${++done} tests`)
    const skipped = data.skip !== undefined && data.skip !== false
    result.test(data.name, type === 'test:fail' ? 'fail' : skipped ? 'skip' : 'pass')
    // A test or file without a number that fails is still a failure of the run: nothing in it was proved.
    if (type === 'test:fail' && data.details?.type !== 'suite') {
      const at = data.file === undefined ? '' : ` (${relative(root, data.file)})`
      troubles.push(`FAILED ${data.name}${at}: ${data.details?.error?.cause?.message ?? data.details?.error?.message ?? ''}`)
    }
  }
  if (!json && process.stderr.isTTY) process.stderr.write('\r')
  for (const [id, name] of result.unknown)
    troubles.push(`${id} is no rule or scenario of the inventory, but a test names it: ${name}`)
  if (json) console.log(JSON.stringify(result.summary(), null, 2))
  else {
    for (const line of result.report()) console.log(line)
    for (const id of result.contradictions) console.log(`note: ${id} is listed as not applicable, but a test proves it`)
  }
  for (const line of troubles) console.error(line)
  return troubles.length === 0 ? 0 : 1
}
