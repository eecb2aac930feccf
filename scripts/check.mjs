// `npm run check`: format and lint, types, direction of layers, published schema. Runs all of them, then says what failed.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const bin = (name) => join(root, 'node_modules/.bin', name)

const checks = [
  { name: 'format and lint', program: bin('biome'), args: ['check', '.'], remedy: 'npm run format mends most of it' },
  { name: 'types', program: bin('tsc'), args: ['-p', '.'], remedy: '' },
  { name: 'types of the console', program: bin('tsc'), args: ['-p', 'console'], remedy: '' },
  { name: 'layers', program: bin('node'), args: ['scripts/check-layers.mjs'], remedy: 'see docs/architecture.md' },
  {
    name: 'schema',
    program: bin('node'),
    args: ['scripts/write-schema.mjs', '--check'],
    remedy: 'node scripts/write-schema.mjs writes it',
  },
]

const failed = []
for (const { name, program, args, remedy } of checks) {
  const started = performance.now()
  const done = spawnSync(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const passed = done.status === 0
  if (!passed) failed.push(remedy === '' ? name : `${name} (${remedy})`)
  console.log(`check: ${name}: ${passed ? 'passed' : `FAILED${done.error ? `: ${done.error.message}` : ''}`} (${seconds} s)`)
}
console.log(failed.length === 0 ? 'check: all passed' : `check: ${failed.length} failed: ${failed.join('; ')}`)
process.exitCode = failed.length === 0 ? 0 : 1
