// ACLs of ports from the command line to a running switch: `vmswitch acl` as a process, changes at the same moment, and ports that are
// saved or moved with their ACLs.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createSwitch } from '../engine/host.ts'
import { checkSource } from '../manage/config/load.ts'
import { parseYaml } from '../manage/config/yaml-source.ts'
import { startControlServer } from '../manage/control/control-server.ts'
import type { SwitchHost } from '../manage/host.ts'
import { migratePort } from '../manage/migrate.ts'
import { engineConfig, manageSwitch } from '../manage/switch-host.ts'
import { type ImposedPolicy, readImposed } from '../switch/policies/imposed.ts'
import type { CommandContext } from './command-context.ts'
import { runCmdlet, splitWords } from './hyper-v/run-cmdlet.ts'
import { createTerminal } from './terminal.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const ALPHA = `{ name: alpha, mac: "52:54:00:77:00:01", endpoint: { kind: vhost-user, path: alpha.sock },
    acls: [{ action: meter, direction: both, remoteIPAddress: 10.0.0.0/8 }] }`

async function managed(
  t: TestContext,
  name: string,
  ports: string,
  imposed: readonly ImposedPolicy[] = [],
): Promise<SwitchHost & { directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-acl-'))
  const yaml = `switch:\n  name: ${name}\n  ports: [${ports}]\nruntime: { directory: ${directory} }\n`
  const config = checkSource(parseYaml('lab.yaml', yaml), join(directory, 'lab.yaml'), {
    env: {},
    cwd: directory,
    canWrite: () => true,
  })
  const running = await createSwitch(engineConfig(config), { log: () => {}, imposed })
  t.after(async () => {
    await running.close()
    rmSync(directory, { recursive: true })
  })
  return { ...manageSwitch(running, config), directory }
}

const code = (expected: string) => (error: unknown) => error instanceof Error && 'code' in error && error.code === expected
const rule = (n: number) => ({ name: `rule ${n} of many`, action: 'deny', direction: 'outbound', remotePort: n, protocol: 'tcp' })
const shown = async (host: SwitchHost): Promise<string[]> =>
  (await host.acls({ port: 'alpha' })).map(({ extended, name }) => `${extended ? 'extended' : 'acl'} ${name}`)

test('vmswitch acl adds, lists and removes entries and rules of a running switch', async (t) => {
  const host = await managed(t, 'one', ALPHA)
  const control = join(host.directory, 'test.sock')
  const server = await startControlServer({ path: control }, { host, log: () => {} })
  t.after(() => server.close())
  const vmswitch = (...words: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((resolve) => {
      const env = { PATH: process.env.PATH ?? '', VMSWITCH_CONTROL: control }
      execFile(bin, words, { cwd: host.directory, env }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      )
    })
  const added = await vmswitch('acl', 'add', 'alpha', 'action=deny', 'direction=outbound', 'remoteIPAddress=192.0.2.0/24')
  assert.equal(added.code, 0, added.stderr)
  assert.match(added.stdout, /^alpha +acl +1 +192\.0\.2\.0\/24 +outbound +deny/m)
  const words = ['name=telnet', 'action=deny', 'direction=outbound', 'protocol=tcp', 'remotePort=23', 'weight=50']
  assert.match(
    (await vmswitch('acl', 'add', '--extended', 'alpha', ...words)).stdout,
    /^alpha +extended +0 +telnet .*remotePort=23/m,
  )
  assert.match((await vmswitch('acl', 'meter')).stdout, /^alpha +alpha +both +remote +10\.0\.0\.0\/8 +0 +0$/m)
  const wrong = await vmswitch('acl', 'add', 'alpha', 'action=deny')
  assert.notEqual(wrong.code, 0)
  assert.match(wrong.stderr, /direction/)
  assert.equal((await vmswitch('acl', 'remove', 'alpha', '192.0.2.0/24')).code, 0)
  const missing = await vmswitch('acl', 'remove', '--extended', 'alpha', 'ssh')
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /port "alpha" has no extended rule ssh/)
  const left = await vmswitch('acl', 'remove', '--extended', 'alpha', 'telnet', '--json')
  assert.deepEqual(
    JSON.parse(left.stdout).map(({ name }: { name: string }) => name),
    ['10.0.0.0/8'],
  )
})

test('entries that are added and removed at the same moment are all there, or gone', async (t) => {
  const host = await managed(t, 'one', ALPHA)
  const numbers = Array.from({ length: 20 }, (_, n) => n + 1)
  await Promise.all(numbers.map((n) => host.addAcl({ port: 'alpha', extended: true, entry: rule(n) })))
  assert.deepEqual(await shown(host), ['acl 10.0.0.0/8', ...numbers.map((n) => `extended ${rule(n).name}`)])
  await Promise.all([
    ...numbers.slice(1).map((n) => host.removeAcl({ port: 'alpha', extended: true, which: rule(n).name })),
    host.addAcl({ port: 'alpha', extended: true, entry: rule(99) }),
    host.removeAcl({ port: 'alpha', which: '10.0.0.0/8' }),
  ])
  assert.deepEqual(
    (await shown(host)).toSorted(),
    [rule(1), rule(99)].map(({ name }) => `extended ${name}`),
  )
  await assert.rejects(async () => host.removeAcl({ port: 'alpha', which: '0' }), code('no-such-acl'))
  await Promise.all([
    host.removeAcl({ port: 'alpha', extended: true, entry: rule(1) }),
    host.addAcl({ port: 'alpha', extended: true, entry: rule(98) }),
  ])
  assert.deepEqual(
    await shown(host),
    [rule(99), rule(98)].map(({ name }) => `extended ${name}`),
  )
  await assert.rejects(async () => host.removeAcl({ port: 'alpha', extended: true, entry: rule(1) }), code('no-such-acl'))
  await assert.rejects(async () => host.addAcl({ port: 'alpha', entry: { action: 'deny' } }), code('bad-property'))
  await assert.rejects(async () => host.addAcl({ port: 'none', entry: rule(1) }), code('no-such-port'))
  await host.addAcl({ port: 'alpha', entry: { action: 'deny', direction: 'both', remoteIPAddress: 'ANY' } })
  assert.equal((await shown(host)).length, 3)
})

test("rules that a network imposes are listed behind the port's own, marked, and can't be removed at the port", async (t) => {
  const ofNetwork = { name: 'no-telnet', action: 'deny', direction: 'outbound', protocol: 'tcp', remotePort: 23 }
  const policy = { name: 'house', port: 'alpha', properties: [{ type: 'extended-acl', value: { rules: ofNetwork } }] } as const
  const host = await managed(t, 'one', ALPHA, [readImposed(policy)])
  await host.addAcl({ port: 'alpha', extended: true, entry: rule(1) })
  assert.deepEqual(
    (await host.acls({ port: 'alpha' })).map(({ name, index, network, entry }) => [name, index, network, entry.remotePort]),
    [
      ['10.0.0.0/8', 0, undefined, undefined],
      [rule(1).name, 0, undefined, 1],
      ['house: no-telnet', 1, 'house', 23],
    ],
  )
  for (const which of ['house: no-telnet', '1'])
    await assert.rejects(
      async () => host.removeAcl({ port: 'alpha', extended: true, which }),
      /policy "house" imposes it.*vmswitch network policy/,
    )
  // Both have the same weight and direction: of these the cmdlet takes the port's own.
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const context: CommandContext = {
    terminal: createTerminal({ json: true }, { env: {}, ...streams }),
    env: {},
    cwd: host.directory,
    control: () => assert.fail('it is connected'),
    connect: async () => host as unknown as Awaited<ReturnType<CommandContext['connect']>>,
  }
  const remove = splitWords(['Remove-VMNetworkAdapterExtendedAcl', 'alpha', '-Weight', '0', '-Direction', 'Outbound'])
  assert.equal(await runCmdlet(context, remove), 0)
  assert.deepEqual(await shown(host), ['acl 10.0.0.0/8', 'extended house: no-telnet'])
  await host.addAcl({ port: 'alpha', extended: true, entry: rule(2) })
  assert.deepEqual(await shown(host), ['acl 10.0.0.0/8', `extended ${rule(2).name}`, 'extended house: no-telnet'])
})

test('a port is saved, restored and moved with its ACLs, and counts begin anew', async (t) => {
  const source = await managed(t, 'one', ALPHA)
  await source.addAcl({ port: 'alpha', extended: true, entry: rule(23) })
  const before = (await source.acls({ port: 'alpha' })).map(({ entry }) => entry)
  const restored = await managed(t, 'two', '')
  await restored.restore(await source.save({}))
  assert.deepEqual(
    (await restored.acls({ port: 'alpha' })).map(({ entry, packets }) => [entry, packets]),
    before.map((entry) => [entry, 0]),
  )
  const moved = await managed(t, 'three', '')
  const remote = (host: SwitchHost) => host as unknown as Parameters<typeof migratePort>[0]
  await migratePort(remote(source), remote(moved), 'alpha', { waitForStop: false }, { ready: () => {}, cancelled: () => false })
  assert.deepEqual(
    (await moved.acls({ port: 'alpha' })).map(({ entry }) => entry),
    before,
  )
  assert.deepEqual(await source.acls({}), [])
})
