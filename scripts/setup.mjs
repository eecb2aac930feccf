// Everything the project needs inside its own folder: packages (npm ci, when the lock file changed), the wasm kernels and the
// web console (when their sources changed); for `npm run setup` and `npm start` also what guests in browsers boot, where it can be had. Runs
// on any Node from 20 on; what runs after it finds Node 24 first on npm's PATH.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fetchBrowserImage } from './browser-image.mjs'
import { haveCommand } from './system-packages.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const cache = join(root, '.cache')
mkdirSync(cache, { recursive: true })

function fingerprint(files) {
  const hash = createHash('sha256')
  for (const file of files) hash.update(file).update(readFileSync(join(root, file)))
  return hash.digest('hex')
}

function step(name, files, produced, run) {
  const stamp = join(cache, `${name}.stamp`)
  const want = fingerprint(files)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === want && produced.every((file) => existsSync(join(root, file)))) return
  process.stderr.write(`setup: ${name}\n`)
  run()
  writeFileSync(stamp, want)
}

function command(program, args) {
  const done = spawnSync(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
  if (done.status === 0) return
  process.stderr.write(`${done.stdout ?? ''}${done.stderr ?? ''}${done.error?.message ?? ''}\n`)
  process.stderr.write(`setup: "${program} ${args.join(' ')}" failed; mend what it says above and run the same command again\n`)
  process.exit(1)
}

step('packages', ['package.json', 'package-lock.json'], ['node_modules/koffi', 'node_modules/assemblyscript'], () =>
  command('npm', ['ci', '--no-audit', '--no-fund', '--include=optional', '--include=dev']),
)

const kernelSources = readdirSync(join(root, 'src/kernels'))
  .filter((file) => file.endsWith('.as.ts') || file.endsWith('layout.ts'))
  .map((file) => `src/kernels/${file}`)
if (kernelSources.some((file) => file.endsWith('.as.ts')))
  step('kernels', [...kernelSources, 'scripts/build-kernels.mjs'], ['.cache/kernels.wasm'], () =>
    command('node', ['scripts/build-kernels.mjs']),
  )

const consoleSources = readdirSync(join(root, 'console'), { recursive: true, encoding: 'utf8' })
  .map((file) => `console/${file}`)
  .filter((file) => /\.(tsx?|css|html)$/.test(file))
  .sort()
step(
  'console',
  [...consoleSources, 'scripts/build-console.mjs', 'package-lock.json'],
  ['.cache/console/index.html', '.cache/console-guest/guest.html'],
  () => command('node', ['scripts/build-console.mjs']),
)

fetchBrowserImage(root, {
  event: process.env.npm_lifecycle_event,
  hasApt: haveCommand('apt-get'),
  tell: (line) => process.stderr.write(`${line}\n`),
})
