// `npm start [-- --once]`: the lab of examples/two-guests.yaml. Asks for the packages it can use, then hands over to `vmswitch up`,
// which makes the guests' image, starts everything, and stops it at Ctrl-C.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensurePackages, labPackages } from './system-packages.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const NODE_MAJOR_MIN = 24

const own = join(root, 'node_modules/.bin/node')
const node = Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN ? process.execPath : own
if (node === own && !existsSync(own)) {
  console.error(
    `start: Node ${process.versions.node} is too old, at least ${NODE_MAJOR_MIN} is needed; "npm start" brings its own`,
  )
  process.exit(2)
}

// What stays missing is no reason to stop: the lab then runs with software guests, and says so.
await ensurePackages(labPackages, { why: 'the lab' })

const child = spawn(
  node,
  [join(root, 'src/cli/main.ts'), 'up', join(root, 'examples/two-guests.yaml'), '--console', ...process.argv.slice(2)],
  {
    stdio: 'inherit',
  },
)
// A terminal sends Ctrl-C to both of us; one sent to us alone is passed on. Either way the child stops in order and we wait for it.
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
process.on('SIGINT', () => {
  if (process.stdin.isTTY !== true) child.kill('SIGINT')
})
child.on('error', (error) => {
  console.error(`start: ${error.message}`)
  process.exit(1)
})
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
