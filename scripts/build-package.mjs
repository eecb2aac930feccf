// `npm run package`: the package as it is published, in .cache/package, and packed as .cache/vmswitch-VERSION.tgz. TypeScript is built to
// JavaScript, since Node refuses to strip types below node_modules; kernels and console come built.
//
// The rule it must not break: what is in the package is what the repository has at this moment, and every file that the code names is there.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = join(root, '.cache/package')
const compiled = join(target, 'dist')
/** As they are; the set-up has built those in .cache. */
const copied = ['bin', 'contrib', 'docs', 'packaging', 'CHANGELOG.md', 'LICENSE', 'README.md', '.cache/kernels.wasm']
const copiedIfBuilt = ['.cache/console', '.cache/console-guest']
/** Modules that code names by their place beside it, and that no import statement shows to the compiler. */
const NAMED_MODULE = /new URL\((['"`])(\.{1,2}\/[^'"`]+)\.ts\1, import\.meta\.url\)/g

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

rmSync(target, { recursive: true, force: true })
mkdirSync(compiled, { recursive: true })
compile()
for (const file of globSync('**/*.js', { cwd: compiled })) renameModules(join(compiled, file))
for (const path of [...copied, ...copiedIfBuilt.filter((path) => existsSync(join(root, path)))])
  cpSync(join(root, path), join(target, path), { recursive: true })
writeFileSync(join(target, 'package.json'), `${JSON.stringify(published(manifest), null, 2)}\n`)
const packed = run('npm', ['pack', '--json', '--pack-destination', join(root, '.cache')], target)
const [{ filename, size, entryCount }] = Object.values(JSON.parse(packed))
console.log(`${relative(process.cwd(), join(root, '.cache', filename))}: ${entryCount} files, ${(size / 1e6).toFixed(1)} MB`)

function compile() {
  const sources = globSync('src/**/*.ts', { cwd: root }).filter((file) => !/\.(test|as)\.ts$/.test(file))
  const options = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      rewriteRelativeImportExtensions: true,
      declaration: true,
      rootDir: join(root, 'src'),
      outDir: compiled,
      typeRoots: [join(root, 'node_modules/@types')],
    },
    files: sources.map((file) => join(root, file)),
    include: [],
  }
  const project = join(target, 'tsconfig.json')
  writeFileSync(project, JSON.stringify(options))
  run(join(root, 'node_modules/.bin/tsc'), ['-p', project], root)
  rmSync(project)
}

function renameModules(file) {
  const code = readFileSync(file, 'utf8')
  const renamed = code.replace(NAMED_MODULE, (_, quote, path) => {
    const named = join(dirname(file), `${path}.js`)
    if (!existsSync(named)) throw new Error(`${relative(root, file)} names ${path}.ts, which is not in the package`)
    return `new URL(${quote}${path}.js${quote}, import.meta.url)`
  })
  if (renamed !== code) writeFileSync(file, renamed)
}

function published({ scripts: _scripts, devDependencies: _tools, exports, ...rest }) {
  const built = (path) => path.replace(/^\.\/src\/(.*)\.ts$/, './dist/$1')
  const entries = Object.entries(exports).map(([name, path]) => [
    name,
    { types: `${built(path)}.d.ts`, default: `${built(path)}.js` },
  ])
  return { ...rest, exports: Object.fromEntries(entries), files: ['dist', ...copied, ...copiedIfBuilt] }
}

function run(program, args, cwd) {
  const done = spawnSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  if (done.status === 0) return done.stdout
  throw new Error(`"${program} ${args.join(' ')}" failed: ${done.stdout}${done.stderr}${done.error?.message ?? ''}`)
}
