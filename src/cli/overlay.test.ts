// `vmswitch overlay` and the cmdlets of network virtualization as processes, against a control server with a fake switch behind it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryDirectory } from '../../test/support/temp-dir.ts'
import { type ControlServer, startControlServer } from '../manage/control/control-server.ts'
import { fakeHost } from '../manage/control/fake-host.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const directory = temporaryDirectory()
const socket = join(directory, 'control.sock')
const fake = fakeHost()
let server: ControlServer

before(async () => {
  server = await startControlServer({ path: socket }, { host: fake.host, log: () => {} })
})
after(() => server.close())

function vmswitch(line: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH ?? '', VMSWITCH_CONTROL: socket }
    execFile(bin, line.split(' '), { cwd: directory, env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}
const rows = async (line: string): Promise<readonly Readonly<Record<string, unknown>>[]> => {
  const { code, stdout, stderr } = await vmswitch(`${line} --json`)
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as Readonly<Record<string, unknown>>[]
}

test('the overlay is shown with its tunnels, subnets and drops', async () => {
  for (const line of ['overlay', 'overlay show']) {
    const { stdout } = await vmswitch(line)
    assert.match(stdout, /^vxlan from 192\.0\.2\.1\/24 \(02:00:00:00:01:01\), UDP port 4789; guests' MTU 1450, 1 records$/m)
    assert.match(stdout, /^192\.0\.2\.2 +02:00:00:00:01:02 +5 +500 B +4 +400 B$/m)
    assert.match(stdout, /^ *5001 +blue +1 +10\.0\.0\.1 +192\.0\.2\.2 +alpha$/m)
    assert.match(stdout, /^dropped, overlay-unknown-subnet: 3$/m)
  }
})

test('records are listed by subnet, added and removed', async () => {
  assert.match((await vmswitch('overlay records 5001')).stdout, /^ *5001 +02:00:00:00:00:02 +192\.0\.2\.2 +static +10\.0\.0\.2$/m)
  assert.equal((await vmswitch('overlay records 7')).stdout, 'there are no records\n')
  const added = await vmswitch('overlay record add 5001 02:00:00:00:00:03 192.0.2.3 10.0.0.3 fd00::3')
  assert.equal(added.stdout, '02:00:00:00:00:03 of virtual subnet 5001 is at 192.0.2.3\n')
  const [found] = await rows('overlay records --address fd00::3')
  assert.deepEqual(found?.addresses, ['10.0.0.3', 'fd00::3'])
  assert.equal((await vmswitch('overlay record remove 5001 02:00:00:00:00:03')).code, 0)
  assert.deepEqual(await rows('overlay records --provider 192.0.2.3'), [])
  assert.equal((await vmswitch('overlay record add 0 02:00:00:00:00:03 192.0.2.3')).code, 2)
  assert.match((await vmswitch('overlay record add 5001 02:00:00 192.0.2.3')).stderr, /mac/)
})

test('of a subnet that is changed, what is not said stays as it is', async () => {
  assert.equal((await vmswitch('overlay subnet set 5001 --peers 192.0.2.4,192.0.2.5')).code, 0)
  assert.match((await vmswitch('overlay')).stdout, /^ *5001 +blue +0 +10\.0\.0\.1 +192\.0\.2\.4 192\.0\.2\.5$/m)
  assert.equal((await vmswitch('overlay subnet set 5001 --domain red')).code, 0)
  assert.match((await vmswitch('overlay')).stdout, /^ *5001 +red +0 +10\.0\.0\.1 +192\.0\.2\.4 192\.0\.2\.5$/m)
  assert.equal((await vmswitch('overlay subnet set 5001 --prefixes 10.5.0.0/24,fd05::/64 --gateways 10.5.0.1')).code, 0)
  assert.match((await vmswitch('overlay')).stdout, /^ *5001 +red +0 +10\.5\.0\.1 +192\.0\.2\.4 192\.0\.2\.5$/m)
  assert.equal((await vmswitch('overlay subnet remove 5001')).code, 0)
  assert.ok(fake.calls.includes('no subnet 5001'))
})

test('customer routes are listed, added and removed', async () => {
  await vmswitch('overlay subnet set 5001 --domain blue')
  const added = await vmswitch('overlay route add 5001 0.0.0.0/0 10.0.0.9 --metric 5')
  assert.equal(added.stdout, '0.0.0.0/0 leads into virtual subnet 5001 through 10.0.0.9, metric 5\n')
  assert.equal(
    (await vmswitch('overlay route add 5001 10.7.0.0/16')).stdout,
    '10.7.0.0/16 leads into virtual subnet 5001, metric 0\n',
  )
  assert.match((await vmswitch('overlay routes 5001')).stdout, /^blue +0\.0\.0\.0\/0 +5001 +10\.0\.0\.9 +5 +given$/m)
  assert.equal((await rows('overlay routes --domain blue')).length, 2)
  assert.equal((await vmswitch('overlay routes --domain red')).stdout, 'there are no routes\n')
  const gone = await vmswitch('overlay route remove 5001 0.0.0.0/0 10.0.0.9')
  assert.equal(gone.stdout, 'no longer: 0.0.0.0/0 leads into virtual subnet 5001 through 10.0.0.9\n')
  assert.equal((await vmswitch('overlay route remove 5001 10.7.0.0/16')).code, 0)
  assert.equal((await vmswitch('overlay route add 5001 0.0.0.0/0 --metric 70000')).code, 2)
})

test('customer routes by cmdlet', async () => {
  await vmswitch('overlay subnet set 5001 --domain blue')
  const route = '-RoutingDomainID blue -VirtualSubnetID 5001 -DestinationPrefix 10.8.0.0/16'
  const [made] = await rows(`New-NetVirtualizationCustomerRoute ${route} -NextHop 0.0.0.0 -Metric 3`)
  assert.deepEqual(made, {
    RoutingDomainID: 'blue',
    VirtualSubnetID: 5001,
    DestinationPrefix: '10.8.0.0/16',
    NextHop: '0.0.0.0',
    Metric: 3,
  })
  const again = await vmswitch(`New-NetVirtualizationCustomerRoute ${route} -NextHop 0.0.0.0`)
  assert.match(again.stderr, /has this route already[\s\S]*Set-NetVirtualizationCustomerRoute/)
  const foreign = await vmswitch(`New-NetVirtualizationCustomerRoute ${route.replace('blue', 'red')} -NextHop 10.0.0.9`)
  assert.match(foreign.stderr, /routing domain red has no virtual subnet 5001/)
  assert.equal((await rows(`Set-NetVirtualizationCustomerRoute ${route} -NextHop 0.0.0.0 -Metric 7 -Passthru`))[0]?.Metric, 7)
  assert.equal((await rows('Get-NetVirtualizationCustomerRoute -Metric 7')).length, 1)
  await vmswitch('Remove-NetVirtualizationCustomerRoute -DestinationPrefix 10.8.0.0/16')
  assert.deepEqual(await rows('Get-NetVirtualizationCustomerRoute -VirtualSubnetID 5001'), [])
})

test('lookup records by cmdlet: one for each customer address of a guest', async () => {
  const guest = '-VirtualSubnetID 6001 -MACAddress 0200000000AA -ProviderAddress 192.0.2.2 -Rule TranslationMethodEncap'
  const [made] = await rows(`New-NetVirtualizationLookupRecord ${guest} -CustomerAddress 10.1.0.1`)
  assert.equal(made?.MACAddress, '0200000000AA')
  assert.equal(made?.Type, 'Static')
  await rows(`New-NetVirtualizationLookupRecord ${guest} -CustomerAddress 10.1.0.2`)
  const listed = await rows('Get-NetVirtualizationLookupRecord -VirtualSubnetID 6001')
  assert.deepEqual(
    listed.map(({ CustomerAddress }) => CustomerAddress),
    ['10.1.0.1', '10.1.0.2'],
  )
  const again = await vmswitch(`New-NetVirtualizationLookupRecord ${guest} -CustomerAddress 10.1.0.2`)
  assert.match(again.stderr, /10\.1\.0\.2 of virtual subnet 6001 has a record already/)
  const moved =
    'Set-NetVirtualizationLookupRecord -CustomerAddress 10.1.0.1 -VirtualSubnetID 6001 -ProviderAddress 192.0.2.3 -Passthru'
  assert.equal((await rows(moved))[0]?.ProviderAddress, '192.0.2.3')
  await vmswitch('Remove-NetVirtualizationLookupRecord -CustomerAddress 10.1.0.1')
  const left = await rows('Get-NetVirtualizationLookupRecord -MACAddress 02-00-00-00-00-AA')
  assert.deepEqual(
    left.map(({ CustomerAddress, ProviderAddress }) => [CustomerAddress, ProviderAddress]),
    [['10.1.0.2', '192.0.2.3']],
  )
  await vmswitch('Remove-NetVirtualizationLookupRecord -CustomerAddress 10.1.0.2')
  assert.deepEqual(await rows('Get-NetVirtualizationLookupRecord -VirtualSubnetID 6001'), [])
})

test('provider addresses are shown by cmdlet, and those that are not there say what is', async () => {
  assert.deepEqual(await rows('Get-NetVirtualizationProviderAddress'), [
    { ProviderAddress: '192.0.2.1', PrefixLength: 24, MACAddress: '020000000101', AddressState: 'Preferred' },
  ])
  const absent = await vmswitch('New-NetVirtualizationProviderAddress -ProviderAddress 192.0.2.9')
  assert.equal(absent.code, 2)
  assert.match(absent.stderr, /vmswitch does not have New-NetVirtualizationProviderAddress[\s\S]*providerAddresses of overlay/)
})
