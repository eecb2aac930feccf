import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { reapLeftovers, startChild } from './children.ts'

function folder(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'children-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Waits, some seconds at the most, until a process is gone (or a zombie that only its new parent can clear away). */
async function isGone(pid: number): Promise<boolean> {
  for (let i = 0; i < 100; i++) {
    if (!existsSync(`/proc/${pid}/stat`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))) return true
    await sleep(50)
  }
  return false
}

const waiter = (directory: string) => ['-c', 'read line', 'waiter', directory]

test('a child runs with its output in the log and its pid in a file, which go with it', async (context) => {
  const directory = folder(context)
  const logFile = join(directory, 'log')
  const child = await startChild('sh', ['-c', `echo hello; exec sleep 60`], { name: 'one', runDirectory: directory, logFile })
  assert.equal(Number(readFileSync(join(directory, 'one.pid'), 'utf8')), child.pid)
  child.kill('SIGKILL')
  assert.deepEqual(await child.exited, { code: null, signal: 'SIGKILL' })
  assert.equal(existsSync(join(directory, 'one.pid')), false)
})

test('a program that does not exist is an error with its name', async (context) => {
  const directory = folder(context)
  const options = { name: 'none', runDirectory: directory, logFile: join(directory, 'log') }
  const started = startChild('/no/such/program', [], options)
  // Behind setpriv the program is looked for after the start: then the exit code tells.
  const outcome = await started.then(
    async (child) => (await child.exited).code,
    (error: { code: string }) => error.code,
  )
  assert.ok(outcome === 'program-missing' || outcome === 127)
})

test('a child dies with a parent that is killed', async (context) => {
  const directory = folder(context)
  const program = `
    import { startChild } from ${JSON.stringify(fileURLToPath(new URL('children.ts', import.meta.url)))}
    const child = await startChild('sleep', ['60'], { name: 'orphan', runDirectory: process.argv[1], logFile: process.argv[1] + '/log' })
    console.log(child.pid)
    setInterval(() => {}, 1000)
  `
  const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', program, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await new Promise<Buffer>((resolve) => parent.stdout.once('data', resolve))).toString().split('\n')
  parent.kill('SIGKILL')
  assert.ok(await isGone(Number(line)))
})

test('what a killed run has left is ended, what only has its number is not', async (context) => {
  const directory = folder(context)
  const leftover = spawn('sh', waiter(`${directory}/x`), { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  const bystander = spawn('sleep', ['60'], { stdio: 'ignore' })
  context.after(() => bystander.kill('SIGKILL'))
  await sleep(100)
  writeFileSync(join(directory, 'leftover.pid'), `${leftover.pid}\n`)
  writeFileSync(join(directory, 'bystander.pid'), `${bystander.pid}\n`)
  writeFileSync(join(directory, 'nonsense.pid'), 'hello\n')
  assert.deepEqual(reapLeftovers(directory), ['leftover'])
  assert.ok(await isGone(leftover.pid!))
  assert.equal(bystander.exitCode, null)
  assert.equal(existsSync(`/proc/${bystander.pid}`), true)
  assert.deepEqual(reapLeftovers(directory), [])
})
