// Compiles src/kernels/burst.as.ts (and what it imports) to .cache/kernels.wasm: one module over one shared, imported memory.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
mkdirSync(join(root, '.cache'), { recursive: true })
const asc = join(root, 'node_modules/assemblyscript/bin/asc.js')
const flags = [
  '-O3',
  '--noAssert',
  '--runtime',
  'stub',
  '--importMemory',
  '--noExportMemory',
  '--sharedMemory',
  '--initialMemory',
  '1',
  '--maximumMemory',
  '65536',
]
const features = ['--enable', 'threads', '--enable', 'simd', '--enable', 'bulk-memory']
const done = spawnSync(process.execPath, [asc, 'src/kernels/burst.as.ts', '-o', '.cache/kernels.wasm', ...flags, ...features], {
  cwd: root,
  stdio: 'inherit',
})
process.exit(done.status ?? 1)
