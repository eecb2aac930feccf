// The commands for SR-IOV and for single ports as processes, against a control server with a fake switch behind it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type ControlServer, startControlServer } from '../manage/control/control-server.ts'
import { fakeHost } from '../manage/control/fake-host.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-adapters-'))
const socket = join(directory, 'control.sock')
const fake = fakeHost()
let server: ControlServer | undefined

before(async () => {
  server = await startControlServer({ path: socket }, { host: fake.host, log: () => {} })
})
after(async () => {
  await server?.close()
  rmSync(directory, { recursive: true })
})

const inFolder = (args: string[], more: Record<string, string>): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    const env = { PATH: process.env.PATH ?? '', ...more }
    execFile(bin, args, { cwd: directory, env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
const vmswitch = (...args: string[]) => inFolder(args, { VMSWITCH_CONTROL: socket })

test('adapters are listed with their VFs in use, and shown with the settings of each VF', async () => {
  const listed = await vmswitch('adapter')
  assert.match(listed.stdout, /^nic0 +switch +running +up +02:00:00:00:00:01 +2 +1 +eth1$/m)
  const { adapters } = JSON.parse((await vmswitch('adapter', 'list', '--json')).stdout) as { adapters: { name: string }[] }
  assert.deepEqual(adapters[0]?.name, 'nic0')
  const shown = (await vmswitch('adapter', 'show', 'nic0')).stdout
  assert.match(shown, /^nic0 02:00:00:00:00:01, running, link up, uplink eth1$/m)
  assert.match(shown, /^ +0 +alpha +52:54:00:77:00:01 +10 +0 +on +off +- +- +auto +up$/m)
  assert.match(shown, /^ +1 +- +00:00:00:00:00:00 +- +0 +on +off +- +- +auto +-$/m)
  const wrong = await vmswitch('adapter', 'show', 'nic1')
  assert.equal(wrong.code, 1)
  assert.match(
    wrong.stderr,
    /^vmswitch: neither the switch nor the host has an SR-IOV adapter "nic1"\n {2}did you mean "nic0"\?$/m,
  )
})

test('without a running switch the cards of the host are shown all the same', async () => {
  const { code, stdout } = await inFolder(['adapter', 'list'], { VMSWITCH_CONTROL: join(directory, 'none.sock') })
  assert.equal(code, 0)
  assert.match(stdout, /no switch runs, and the host has no card with SR-IOV|^ADAPTER/)
  const provision = await inFolder(['adapter', 'provision', 'lo', '--vfs', '2'], {})
  assert.equal(provision.code, 1)
  assert.match(provision.stderr, /the host has no SR-IOV card with an interface "lo"/)
})

test('an adapter is pulled, plugged and asked', async () => {
  assert.equal((await vmswitch('adapter', 'pull', 'nic0')).stdout, 'nic0 is pulled: guests go on through the switch\n')
  assert.equal((await vmswitch('adapter', 'plug', 'nic0')).stdout, 'nic0 is back, 1 port has a VF\n')
  const answer = await vmswitch('adapter', 'request', 'nic0', 'OID_SRIOV_PF_LUID', '--type', 'query')
  assert.match(answer.stdout, /^NDIS_STATUS_SUCCESS\n\{\n {2}"hex": "00ff"\n\}$/m)
  await vmswitch('adapter', 'request', 'nic0', '66114', '{"flags":0}', '--type', 'method')
  assert.equal(fake.calls.at(-1), 'adapterRequest {"name":"nic0","oid":66114,"type":"method","payload":{"flags":0}}')
  const bad = await vmswitch('adapter', 'request', 'nic0', '1', 'flags=0')
  assert.deepEqual([bad.code, bad.stderr.split('\n')[0]], [2, 'vmswitch: the payload is no JSON: flags=0'])
})

test('virtual functions are listed, given, taken back, reset', async () => {
  assert.match((await vmswitch('vf')).stdout, /^alpha +nic0 +0 +1 +1 +active +vfio-user +3 +\/run\/l\/alpha-vf\.sock$/m)
  const given = await vmswitch('vf', 'assign', 'alpha')
  assert.equal(given.stdout, "alpha has VF 1 of nic0: the guest's driver is awaited, traffic goes through the switch\n")
  assert.equal(given.stderr, '# attach the guest: vmswitch qemu-args alpha\n')
  await vmswitch('vf', 'remove', 'alpha', '--surprise')
  assert.equal(fake.calls.at(-1), 'removeVf {"port":"alpha","surprise":true}')
  await vmswitch('vf', 'remove', 'alpha')
  assert.equal(fake.calls.at(-1), 'removeVf {"port":"alpha","surprise":false}')
  assert.equal((await vmswitch('vf', 'reset', 'alpha')).stdout, 'VF 0 of alpha is reset: traffic goes through it\n')
  const refused = await vmswitch('vf', 'assign', 'beta', '--json')
  assert.equal(refused.code, 1)
  assert.equal((JSON.parse(refused.stdout) as { error: { code: string } }).error.code, 'no-iov')
})

test('a virtual function is set in the words of ip link, and what is no word is refused', async () => {
  const all = ['--vlan', '7', '--qos', '3', '--spoofchk', 'off', '--trust', 'on', '--max-tx-rate', '1000', '--min-tx-rate', '10']
  const { stdout } = await vmswitch('vf', 'set', 'nic0', '1', ...all, '--state', 'enable')
  assert.equal(
    fake.calls.at(-1),
    'setVf {"name":"nic0","vf":1,"words":{"vlan":7,"qos":3,"spoofchk":false,"trust":true,"max_tx_rate":1000,"min_tx_rate":10,"state":"enable"}}',
  )
  assert.match(stdout, /^ +1 +- +00:00:00:00:00:00 +7 +3 +off +on +10 +1 000 +enable +-$/m)
  assert.equal((await vmswitch('vf', 'set', 'nic0', '1')).code, 2)
  assert.equal((await vmswitch('vf', 'set', 'nic0', '1', '--trust', 'yes')).code, 2)
  assert.equal((await vmswitch('vf', 'set', 'nic0', '-1', '--vlan', '1')).code, 2)
  assert.match((await vmswitch('vf', 'set', 'nic0', '1', '--mac', '02:00:00:00:00:01')).stderr, /has the address of its port/)
})

test('VPorts are listed with function, filters and drops', async () => {
  const { stdout } = await vmswitch('vport', 'list', 'nic0')
  assert.match(stdout, /^nic0 +0 +\(default\) +PF +activated +1 234 567 +7 +3 +-$/m)
  assert.match(stdout, /^nic0 +1 +alpha +VF 0 +activated +1 234 567 +7 +3 +52:54:00:77:00:01 vlan 10$/m)
  assert.equal((await vmswitch('vport')).stdout, stdout)
  assert.equal((JSON.parse((await vmswitch('vport', '--json')).stdout) as unknown[]).length, 2)
})

test('a port is shown, set, renamed and removed', async () => {
  const shown = (await vmswitch('port', 'show', 'beta')).stdout
  assert.match(shown, /^name for people +Reception desk$/m)
  assert.match(shown, /^mirroring +destination of session 2$/m)
  assert.match((await vmswitch('port', 'show', 'alpha')).stdout, /^SR-IOV +weight 0, vfio-user at \/run\/l\/alpha-vf\.sock$/m)
  const set = await vmswitch('port', 'set', 'alpha', '--mtu', '9000', '--mirror', 'source', '--session', '3', '--link', 'down')
  assert.equal(set.code, 0, set.stderr)
  assert.deepEqual(fake.calls.slice(-2), [
    'setPort {"name":"alpha","mtu":9000,"portMirroring":"source","monitorSession":3}',
    'setLink {"name":"alpha","up":false}',
  ])
  assert.equal((await vmswitch('port', 'rename', 'alpha', 'The desk')).stdout, 'alpha is called "The desk"\n')
  assert.equal((await vmswitch('port', 'remove', 'alpha')).stdout, 'alpha is removed\n')
  assert.equal((await vmswitch('port', 'set', 'alpha')).code, 2)
  assert.match((await vmswitch('port', 'show', 'alpho')).stderr, /did you mean "alpha"\?/)
})

test('a port is mirrored in one direction, given a tenant and, as a team, another balance; the team is shown', async () => {
  const set = [
    '--mirror',
    'all',
    '--direction',
    'sent',
    '--mirror-vlan',
    '900',
    '--tenant',
    'shop',
    '--load-balancing',
    'Dynamic',
  ]
  const answer = await vmswitch('port', 'set', 'beta', ...set, '--standby', 'eth2', 'eth3')
  assert.equal(answer.code, 0, answer.stderr)
  assert.deepEqual(JSON.parse(fake.calls.at(-1)!.replace('setPort ', '')), {
    name: 'beta',
    portMirroring: 'all',
    monitorDirection: 'sent',
    monitorVlan: 900,
    tenant: 'shop',
    teaming: { loadBalancing: 'Dynamic', standby: ['eth2', 'eth3'] },
  })
  const { stdout } = await vmswitch('team')
  assert.match(stdout, /^uplink: switch-independent, HyperVPort; 1 changes, 2 addresses announced$/m)
  assert.match(stdout, /^eth1 +active +up +active, designated +1 ?500 /m)
  assert.equal(JSON.parse((await vmswitch('team', '--json')).stdout).members[0].counters.duplicates, 3)
})

test('an extension is paused at its place and restarted', async () => {
  assert.equal((await vmswitch('ext', 'pause', 'acl')).stdout, 'acl is paused\n')
  assert.equal(fake.calls.at(-1), 'pauseExtension {"name":"acl","paused":true}')
  assert.equal((await vmswitch('ext', 'restart', 'acl')).stdout, 'acl is running\n')
})
