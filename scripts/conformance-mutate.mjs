// `npm run conformance -- --mutate`: breaks rules one by one in copies of the tree and looks that the tests which carry them fail.
//
// The rule it must not break: the project's own files are never changed, and a mutation that can't be made is an error.
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mutations } from '../test/conformance/mutations.mjs'
import { taggedFiles, tagsIn } from './conformance-rules.mjs'

const COPIES = 2
const COPIED = ['package.json', 'tsconfig.json', 'src', 'test', 'scripts', 'bin', 'examples', 'docs', '.cache/kernels.wasm']
const PATTERNS = ['src/**/*.test.ts', 'test/conformance/**/*.test.ts']
const RUN_LIMIT_MS = 90_000

/** Tries all mutations, or those of the rules in `only`. Returns the exit status. */
export async function mutateAll(root, { only, json, inventory }) {
  for (const rule of only) if (!mutations.some((one) => one.rule === rule)) throw new Error(`there is no mutation of ${rule}`)
  const chosen = mutations.filter(({ rule }) => only.length === 0 || only.includes(rule))
  for (const { rule } of chosen)
    if (!inventory.rules.has(rule)) throw new Error(`test/conformance/mutations.mjs: ${rule} is no rule`)
  const files = new Map(
    taggedFiles(root, PATTERNS).map((file) => [file, new Set(tagsIn(readFileSync(join(root, file), 'utf8')))]),
  )
  const waiting = [...chosen]
  const results = []
  const lane = async () => {
    const copy = copyTree(root)
    try {
      for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
        const result = { rule: one.rule, file: one.file, ...(await tryOne(copy, one, files)) }
        results.push(result)
        if (!json)
          console.log(`${result.rule} ${result.outcome}${result.detail === '' ? '' : `: ${result.detail}`} (${result.file})`)
      }
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  }
  await Promise.all(Array.from({ length: Math.min(COPIES, chosen.length) }, lane))
  const red = results.filter(({ outcome }) => outcome === 'red')
  if (json)
    console.log(
      JSON.stringify(
        { mutations: results.length, red: red.length, rules: new Set(red.map(({ rule }) => rule)).size, results },
        null,
        2,
      ),
    )
  else console.log(`${red.length} of ${results.length} mutations made a test of their rule fail`)
  return red.length === results.length ? 0 : 1
}

function copyTree(root) {
  const copy = mkdtempSync(join(tmpdir(), 'vmswitch-mutate-'))
  for (const path of COPIED) cpSync(join(root, path), join(copy, path), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

// One mutation in a copy, which is as before when this returns.
async function tryOne(copy, { rule, file, find, replace, every = false }, files) {
  const path = join(copy, file)
  let before
  try {
    before = readFileSync(path, 'utf8')
  } catch {
    return { outcome: 'ERROR', detail: 'the file is no longer there' }
  }
  const parts = before.split(find)
  if (parts.length === 1) return { outcome: 'ERROR', detail: 'its text is no longer in the file' }
  if (parts.length > 2 && !every) return { outcome: 'ERROR', detail: `its text is in the file ${parts.length - 1} times` }
  const tests = [...files].filter(([, tags]) => tags.has(rule)).map(([test]) => test)
  if (tests.length === 0) return { outcome: 'ERROR', detail: 'no test carries the rule' }
  writeFileSync(path, parts.join(replace))
  try {
    return judge(await runTests(copy, tests, rule), rule)
  } finally {
    writeFileSync(path, before)
  }
}

function judge({ failed, passed }, rule) {
  const carries = (name) => tagsIn(name).includes(rule)
  if (failed.some(carries)) return { outcome: 'red', detail: '' }
  if (passed.some(carries)) return { outcome: 'GREEN', detail: 'the rule was broken and its tests passed' }
  return { outcome: 'ERROR', detail: `no test of the rule ran: ${failed[0] ?? 'nothing failed'}` }
}

// Runs test files in the copy. Names with a range of rules do not hold every number of it: then all tagged tests of the files run.
function runTests(copy, tests, rule) {
  const literal = tests.every((test) => readFileSync(join(copy, test), 'utf8').includes(rule))
  const args = [
    '--test',
    '--test-reporter=tap',
    `--test-name-pattern=${literal ? rule : '(ES|SR|VQ|PD)-'}`,
    `--test-timeout=${RUN_LIMIT_MS / 2}`,
    ...tests,
  ]
  return new Promise((resolve) => {
    const child = spawn(join(copy, 'node_modules/.bin/node'), args, {
      cwd: copy,
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: RUN_LIMIT_MS,
      killSignal: 'SIGKILL',
    })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    child.on('close', () => {
      const names = (start) => [...text.matchAll(new RegExp(`^ *${start} \\d+ - (.*)$`, 'gm'))].map(([, name]) => name)
      resolve({ failed: names('not ok'), passed: names('ok').filter((name) => !/# SKIP/.test(name)) })
    })
  })
}
