// The commands for properties, save, restore and migration as processes, against control servers with fake switches behind them.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type ControlServer, startControlServer } from '../manage/control/control-server.ts'
import { fakeHost } from '../manage/control/fake-host.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-policy-'))
const source = fakeHost()
const target = fakeHost()
const sourceSocket = join(directory, 'source.sock')
const targetSocket = join(directory, 'target.sock')
let servers: ControlServer[] = []

before(async () => {
  servers = [
    await startControlServer({ path: sourceSocket }, { host: source.host, log: () => {} }),
    await startControlServer({ path: targetSocket }, { host: target.host, log: () => {} }),
  ]
})
after(async () => {
  for (const server of servers) await server.close()
  rmSync(directory, { recursive: true })
})

function vmswitch(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH ?? '', VMSWITCH_CONTROL: sourceSocket }
    execFile(bin, args, { cwd: directory, env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

test('multicast groups are shown with router ports and queriers, and snooping is switched on with settings, and off', async () => {
  const shown = await vmswitch('mdb')
  assert.match(shown.stdout, /^ *10 +239\.1\.2\.3 +alpha +200 s$/m)
  assert.match(shown.stdout, /^router port uplink, VLAN 10, ipv4: learned, 100 s$/m)
  assert.match(shown.stdout, /^querier of VLAN 10, ipv4: 10\.0\.0\.1 at uplink, 100 s$/m)
  assert.match(shown.stdout, /^port alpha: 1 groups, 3 joins refused$/m)
  assert.match((await vmswitch('mdb', 'on', 'floodUnregistered=false', 'querier={}')).stdout, /^snooping is on: .*"querier":\{\}/)
  assert.equal((await vmswitch('mdb', 'on', 'floodUnregisterd=false')).code, 1)
  assert.equal((await vmswitch('mdb', 'off')).stdout, 'snooping is off\n')
  assert.match((await vmswitch('mdb')).stdout, /^snooping is off: multicast frames go to all ports/)
  assert.equal((JSON.parse((await vmswitch('mdb', '--json')).stdout) as { settings: unknown }).settings, null)
  assert.deepEqual(
    source.calls.filter((call) => call.startsWith('snooping')),
    ['snooping {"floodUnregistered":false,"querier":{}}', 'snooping null'],
  )
})

test('properties are listed, added as NAME=VALUE pairs or JSON, changed and removed', async () => {
  const listed = await vmswitch('property')
  assert.match(listed.stdout, /^alpha +vlan +1\.0 +00000000-\S+ +\{"mode":"access","accessVlanId":10\}$/m)
  const added = await vmswitch('property', 'add', 'vlan', 'mode=access', 'accessVlanId=20', '--port', 'alpha')
  assert.match(added.stdout, /^vlan of port "alpha" is \{"mode":"access","accessVlanId":20\} \(instance /)
  assert.equal(source.calls.at(-1), 'addProperty {"port":"alpha","type":"vlan","value":{"mode":"access","accessVlanId":20}}')
  await vmswitch('property', 'add', 'rate-limit', '{"perSecond":5}', '--property-version', '1.1')
  assert.equal(source.calls.at(-1), 'addProperty {"type":"custom","id":"rate-limit","version":"1.1","value":{"perSecond":5}}')
  const set = await vmswitch('property', 'set', 'rate-limit', 'text', '--port', 'alpha', '--instance', 'x', '--json')
  assert.equal((JSON.parse(set.stdout) as { value: unknown }).value, 'text')
  assert.equal(
    source.calls.at(-1),
    'setProperty {"port":"alpha","type":"custom","id":"rate-limit","instance":"x","value":"text"}',
  )
  assert.equal((await vmswitch('property', 'remove', 'security', '--port', 'alpha')).stdout, 'security is removed\n')
  assert.equal(source.calls.at(-1), 'removeProperty {"port":"alpha","type":"security"}')
  assert.match((await vmswitch('feature-status', 'f', '--port', 'alpha')).stdout, /^f version 1\.0: hello$/m)
  assert.equal((await vmswitch('property', 'add', 'vlan', 'two', 'words')).code, 2)
})

test('what extensions define is listed, and each with the fields of its value', async () => {
  const listed = await vmswitch('property', 'definitions')
  assert.match(listed.stdout, /^rate-limit +1\.0 +port +limiter +0d3c1f9f-0001-/m)
  const { stdout } = await vmswitch('property', 'definitions', 'rate-limit')
  assert.match(stdout, /^perSecond \* +integer 1-1000 +Frames a second\.$/m)
  assert.match(stdout, /^mode +drop, mark +"drop"/m)
  const answer = JSON.parse((await vmswitch('property', 'definitions', 'rate-limit', '--json')).stdout) as {
    schema: { required: string[] }
  }
  assert.deepEqual(answer.schema.required, ['perSecond'])
  assert.match((await vmswitch('property', 'definitions', 'labels')).stdout, /only the extension limiter knows/)
  const unknown = await vmswitch('property', 'definitions', 'rate')
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /defined are: rate-limit, labels/)
})

test('a save is a file for its owner only, and is what restore sends', async () => {
  assert.equal((await vmswitch('save', 'lab.json')).stdout, 'saved to lab.json\n')
  const file = join(directory, 'lab.json')
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const restored = await vmswitch('restore', 'lab.json')
  assert.match(restored.stdout, /^alpha +no +restored +0$/m)
  assert.match(restored.stderr, /^the switch has no SR-IOV adapter .*: its guest goes on with its synthetic card\n$/)
  assert.equal(source.calls.at(-1), `restore ${JSON.stringify(readFileSync(file, 'utf8'))}`)
  writeFileSync(file, 'x')
  assert.equal((await vmswitch('restore', 'none.json')).code, 2)
  assert.match((await vmswitch('save', 'no/such/folder.json')).stderr, /^vmswitch: no\/such\/folder\.json can't be written/)
})

test('a migration asks source and target in the order of the contract (ES-491, ES-493, ES-494, ES-495)', async () => {
  source.calls.length = 0
  const { code, stdout, stderr } = await vmswitch('migrate', 'alpha', '--to', targetSocket)
  assert.equal(code, 0)
  assert.match(stdout, /^alpha +no +restored +1$/m)
  assert.match(stderr, /port "alpha" is prepared at \/run\/l\/alpha\.sock: start the VMM there/)
  assert.match(
    stderr,
    /^the VMM takes VF 0 of adapter "nic0" out of the guest when it migrates it\nport "alpha" has VF 0 of adapter "nic0" now$/m,
  )
  const names = (calls: readonly string[]) => calls.map((call) => call.split(' ')[0])
  assert.deepEqual(names(source.calls), ['save', 'holdPort', 'awaitStop', 'handOver'])
  assert.deepEqual(names(target.calls), ['prepareMigration', 'stillMigrating', 'stillMigrating', 'takeOver'])
  const unknown = await vmswitch('migrate', 'gamma', '--to', targetSocket)
  assert.equal(unknown.stderr, 'vmswitch: switch "lab0" has no port "gamma"\n')
})
