// The package as a user has it: built, packed, installed by npm in a folder of its own, and used there: by its command, as a library,
// with an extension in TypeScript, and with its types.
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const WAIT_MS = 30_000

const extension = `import { defineExtension } from 'vmswitch/extension'

export default defineExtension({
  id: '0b7c8a52-9d0e-4c0e-8a57-6a1f0c6d2b11',
  name: 'block-telnet',
  version: '1.0.0',
  class: 'filtering',
  attach(sw) {
    const telnet = sw.registerReason('telnet')
    return {
      ingress(batch) {
        for (let i = 0; i < batch.length; i++) if (batch.isTcp(i) && batch.destinationPort(i) === 23) batch.drop(i, telnet)
      },
    }
  },
})
`

const program = `import { createSwitch, loadConfig } from 'vmswitch'

const { switch: wanted } = await loadConfig('lab.yaml')
process.stdout.write(typeof createSwitch + ' ' + wanted.name)
`

describe('the published package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vmswitch-package-'))
  const command = join(folder, 'node_modules/.bin/vmswitch')
  let child: ChildProcess | undefined
  const vmswitch = async (...args: string[]): Promise<string> => (await execute(command, args, { cwd: folder })).stdout

  before(async () => {
    await execute(process.execPath, [join(root, 'scripts/build-package.mjs')], { cwd: root })
    const packed = readdirSync(join(root, '.cache')).find((name) => /^vmswitch-.*\.tgz$/.test(name))!
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
    const options = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
    await execute('npm', ['install', ...options, join(root, '.cache', packed)], { cwd: folder })
    writeFileSync(join(folder, 'block-telnet.ts'), extension)
    writeFileSync(join(folder, 'embedded.ts'), program)
    writeFileSync(
      join(folder, 'lab.yaml'),
      'switch:\n  name: installed\n  extensions: [{ use: ./block-telnet.ts }, { use: acl }]\n  ports: []\nruntime: { directory: ./run }\n',
    )
  })
  after(() => {
    child?.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })

  it('runs a switch with an extension in TypeScript and one of the box, and ends in good order', async () => {
    child = spawn(command, ['up', 'lab.yaml', '--no-guests'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let log = ''
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (bytes: Buffer) => (log += bytes.toString()))
    const exited = once(child, 'exit')
    for (const end = performance.now() + WAIT_MS; !log.includes('installed'); await sleep(50))
      assert.ok(performance.now() < end && child.exitCode === null, `the switch starts: ${log}`)
    const listed = await vmswitch('ext', '--json', '--socket', join(folder, 'run/control.sock'))
    assert.match(listed, /"block-telnet"/)
    assert.match(listed, /"acl"/)
    child.kill('SIGINT')
    assert.deepEqual(await exited, [0, null], log)
  })

  it('is a library', async () => {
    const { stdout } = await execute(process.execPath, ['embedded.ts'], { cwd: folder })
    assert.equal(stdout, 'function installed')
  })

  it('carries its types', async () => {
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2024', '--types', 'node']
    const typeRoots = ['--typeRoots', join(root, 'node_modules/@types')]
    // What the compiler finds wrong.
    const compiled = async (...files: string[]): Promise<string> => {
      const args = [...options, ...typeRoots, ...files]
      return execute(join(root, 'node_modules/.bin/tsc'), args, { cwd: folder }).then(
        ({ stdout }) => stdout,
        (error: { stdout: string }) => error.stdout,
      )
    }
    assert.equal(await compiled('block-telnet.ts', 'embedded.ts'), '')
    writeFileSync(join(folder, 'wrong.ts'), extension.replace('batch.isTcp(i)', 'batch.isTcp()'))
    assert.match(await compiled('wrong.ts'), /Expected 1 arguments/)
  })
})
