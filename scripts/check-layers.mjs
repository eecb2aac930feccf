// Checks the direction of imports between the folders of src/: a layer imports itself and lower ones, never higher ones.
//
// The rule it must not break: the order below is the one in docs/architecture.md; an exception is a line in this file.
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Folders that run anywhere, in a browser too: no Node modules, no foreign calls. Lowest first; those of one line are peers. */
const pure = [['kernels'], ['packet', 'ndis'], ['extension.ts'], ['virtio'], ['switch'], ['adapter'], ['extensions']]
/** Folders that need Linux. They may import every pure folder. */
const platform = [['linux'], ['vhost-user', 'vfio-user'], ['endpoints'], ['engine'], ['lab'], ['manage'], ['cli'], ['index.ts']]
/** Types that a higher layer defines for lower ones to implement: they may be imported as types, from anywhere on Linux. */
const contracts = ['manage/host.ts', 'manage/config/types.ts']

const ranks = new Map([...pure, ...platform].flatMap((names, rank) => names.map((name) => [name, rank])))
const pureNames = new Set(pure.flat())
const nodeModules = new Set(builtinModules)

const isTest = (file) => /\.test\.(ts|mjs)$/.test(file)
const isNodeModule = (specifier) => specifier.startsWith('node:') || nodeModules.has(specifier.split('/')[0])
const isPackage = (specifier, name) => specifier === name || specifier.startsWith(`${name}/`)

/** `kernels/layout.ts` → `kernels`; a file of src/ itself is its own layer. */
const layerOf = (file) => file.split('/')[0]

/** The source with comments blanked out, so that positions stay the same. Strings and templates are kept. */
export function withoutComments(source) {
  return source.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (all, text) => (text === undefined ? all.replace(/[^\n]/g, ' ') : all),
  )
}

/** Every module that `source` names: `{ specifier, line, typeOnly }`. */
export function importsOf(source) {
  const text = withoutComments(source)
  const found = []
  const add = (match, specifier, typeOnly) =>
    found.push({ specifier, line: text.slice(0, match.index).split('\n').length, typeOnly })
  for (const match of text.matchAll(/^[ \t]*(?:import|export)\b([^'"`;]*?)\bfrom\s*['"]([^'"]+)['"]/gm))
    add(match, match[2], isTypeOnly(match[1]))
  for (const match of text.matchAll(/^[ \t]*import\s*['"]([^'"]+)['"]/gm)) add(match, match[1], false)
  for (const match of text.matchAll(/\bimport\s*\(\s*['"`]([^'"`]+)['"`]/g))
    add(match, match[1], /typeof\s*$/.test(text.slice(0, match.index)))
  for (const match of text.matchAll(/\bnew\s+URL\s*\(\s*['"`](\.[^'"`]*\.ts)['"`]/g)) add(match, match[1], false)
  return found
}

/** `type { A }` and `{ type A, type B }` vanish when the code runs. */
function isTypeOnly(clause) {
  if (/^\s*type\b(?!\s*,|\s+from)/.test(clause)) return true
  const names = /^\s*\{([^}]*)\}\s*$/.exec(clause)
  return (
    names !== null &&
    names[1].trim() !== '' &&
    names[1].split(',').every((name) => name.trim() === '' || /^type\s/.test(name.trim()))
  )
}

/**
 * Breaches of the layers. `files` maps paths relative to src/ to their text. Returns lines for a person to read:
 * `src/FILE:LINE: what is wrong`.
 */
export function findBreaches(files) {
  const breaches = []
  for (const [file, source] of files) {
    const layer = layerOf(file)
    const report = (line, message) => breaches.push(`src/${file}:${line}: ${message}`)
    const rank = ranks.get(layer)
    if (rank === undefined) {
      if (!file.endsWith('.d.ts'))
        report(1, `"${layer}" is no known layer; add it to scripts/check-layers.mjs and docs/architecture.md`)
      continue
    }
    for (const found of importsOf(source)) {
      const problem = problemOf(file, layer, rank, found)
      if (problem !== null) report(found.line, problem)
    }
  }
  return breaches
}

function problemOf(file, layer, rank, { specifier, typeOnly }) {
  const test = isTest(file)
  const isPure = pureNames.has(layer)
  if (specifier === 'vmswitch/extension') specifier = posix.relative(dirname(file), 'extension.ts').replace(/^(?!\.)/, './')
  if (!specifier.startsWith('.')) {
    if (isPackage(specifier, 'koffi') && layer !== 'linux') return 'only src/linux imports koffi'
    if (isPure && !test && isNodeModule(specifier)) return `${layer} is pure and must not import ${specifier}`
    if (isPure && !test && !typeOnly) return `${layer} is pure and must not import the package ${specifier}`
    return null
  }
  const target = posix.join(dirname(file), specifier)
  if (target.startsWith('../')) return test ? null : `${specifier} lies outside src`
  const other = layerOf(target)
  if (other === layer && layer !== 'extensions') return null
  const otherRank = ranks.get(other)
  if (otherRank === undefined) return `${specifier} is in no known layer`

  if (layer === 'extensions') {
    const own = file.split('/').length > 2 ? `${file.split('/').slice(0, 2).join('/')}/` : 'extensions/'
    if (target.startsWith(own) || other === 'extension.ts') return null
    if (test && pureNames.has(other)) return null
    return `an extension imports ../extension.ts and its own folder only, not ${specifier}`
  }
  if (isPure) {
    if (!pureNames.has(other)) return `${layer} is pure and must not import ${other}`
  } else if (pureNames.has(other)) return null
  if (typeOnly && contracts.includes(target)) return null
  return otherRank > rank ? `${layer} is below ${other} and must not import it (${specifier})` : null
}

/** The sources of a folder: Map of relative path to text. */
export function readSources(directory) {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  return new Map(files.sort().map((file) => [file, readFileSync(join(directory, file), 'utf8')]))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = readSources(fileURLToPath(new URL('../src', import.meta.url)))
  const breaches = findBreaches(files)
  for (const breach of breaches) console.log(breach)
  console.log(`layers: ${files.size} files, ${breaches.length} breaches`)
  process.exitCode = breaches.length === 0 ? 0 : 1
}
