// Cmdlets against a real service.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type CliService, startCliService } from '../../../test/support/cli-service.ts'
import { type CmdletRunner, cmdletRunner } from '../../../test/support/cmdlet-runner.ts'

let service: CliService
let run: CmdletRunner
before(async () => {
  service = await startCliService()
  run = cmdletRunner(service)
})
after(() => service?.close())

type Row = Readonly<Record<string, unknown>>

const ok = async (line: string): Promise<string> => {
  const { code, stdout, stderr } = await run(line.split(' '))
  assert.equal(code, 0, `${line}: ${stderr}`)
  return stdout
}
const rows = async (line: string): Promise<readonly Row[]> => JSON.parse(await ok(`${line} --json`)) as Row[]
const fails = async (line: string, code: number, words: RegExp): Promise<void> => {
  const ended = await run(line.split(' '))
  assert.deepEqual([ended.code, words.test(ended.stderr)], [code, true], `${line}: ${ended.stderr}`)
}
const pick = (row: Row | undefined, ...names: string[]): unknown[] => names.map((name) => row?.[name])

describe('cmdlets', () => {
  test('make the switch of a service, once, and show it', async () => {
    assert.deepEqual(await rows('Get-VMSwitch'), [])
    assert.equal(
      (await run(['New-VMSwitch', '-Name', 'lab', '-WhatIf'])).stderr,
      'What if: Performing the operation "Create the virtual switch" on target "lab".\n',
    )
    assert.deepEqual(await rows('Get-VMSwitch'), [])
    const [made] = await rows('New-VMSwitch lab -SwitchType private -MinimumBandwidthMode weight')
    assert.deepEqual(pick(made, 'Name', 'SwitchType', 'AllowManagementOS', 'BandwidthReservationMode'), [
      'lab',
      'Private',
      false,
      'Weight',
    ])
    await fails('New-VMSwitch other', 1, /the service has the switch "lab" already/)
    assert.equal(
      await ok('get-vmswitch l*'),
      'Name  SwitchType  NetAdapterInterfaceDescription\n----  ----------  ------------------------------\nlab   Private\n',
    )
    await fails('Get-VMSwitch nothing', 1, /there is no switch "nothing"/)
    const [set] = await rows('Set-VMSwitch lab -DefaultFlowMinimumBandwidthWeight 20 -Passthru')
    assert.equal(set?.DefaultFlowMinimumBandwidthWeight, 20)
    await fails('Set-VMSwitch lab -Notes x', 2, /-Notes is a matter of the configuration/)
  })

  test('add, change, connect, rename adapters', async () => {
    const [front] = await rows('Add-VMNetworkAdapter -VMName web -Name front -StaticMacAddress 00155D010203 -Passthru')
    assert.deepEqual(pick(front, 'Name', 'VMName', 'PortName', 'MacAddress', 'Connected'), [
      'front',
      'web',
      'web-front',
      '00155D010203',
      true,
    ])
    assert.equal(await ok('Add-VMNetworkAdapter db,cache -EndpointKind memory'), '')
    assert.deepEqual(
      (await rows('Get-VMNetworkAdapter -All')).map(({ Name }) => Name),
      ['front', 'db', 'cache'],
    )
    assert.deepEqual(
      (await rows('Get-VMNetworkAdapter d*')).map(({ VMName }) => VMName),
      ['db'],
    )
    const [set] = await rows(
      'Set-VMNetworkAdapter -VMName web -Name front -MacAddressSpoofing On -DhcpGuard on -StormLimit 100 -MaximumBandwidth 100000000 -MinimumBandwidthWeight 5 -PortMirroring Source -Passthru',
    )
    assert.deepEqual(
      pick(set, 'MacAddressSpoofing', 'IeeePriorityTag', 'DhcpGuard', 'RouterGuard', 'StormLimit', 'PortMirroringMode'),
      [
        'On',
        'On', // as before there was a security property
        'On',
        'Off',
        100,
        'Source',
      ],
    )
    assert.deepEqual(set?.BandwidthSetting, {
      MaximumBandwidth: 100_000_000,
      MinimumBandwidthAbsolute: 0,
      MinimumBandwidthWeight: 5,
    })
    const [less] = await rows('Set-VMNetworkAdapter web -MaximumBandwidth 0 -RouterGuard On -Passthru')
    assert.deepEqual(pick(less, 'DhcpGuard', 'RouterGuard', 'MacAddressSpoofing'), ['On', 'On', 'On'])
    assert.equal((less?.BandwidthSetting as Row).MaximumBandwidth, 0)
    await fails('Set-VMNetworkAdapter -DhcpGuard On', 2, /whose adapter\?/)
    await fails('Set-VMNetworkAdapter web', 2, /nothing is named/)
    await fails('Set-VMNetworkAdapter wbe -DhcpGuard On', 1, /VM "wbe" has no adapter\n {2}did you mean "web"\?/)
    const [away] = await rows('Disconnect-VMNetworkAdapter web front -Passthru')
    assert.equal(away?.Connected, false)
    await fails('Connect-VMNetworkAdapter web front other', 1, /there is no switch "other"/)
    const [back] = await rows('Connect-VMNetworkAdapter -VMName web -SwitchName lab -Passthru')
    assert.equal(back?.Connected, true)
    const [renamed] = await rows('Rename-VMNetworkAdapter web front Reception -Passthru')
    assert.deepEqual(pick(renamed, 'Name', 'PortName'), ['Reception', 'web-front'])
  })

  test('set VLANs, isolation and routing domains', async () => {
    await ok('Set-VMNetworkAdapterVlan web -Trunk -AllowedVlanIdList 1-3,7 -NativeVlanId 10')
    await ok('Set-VMNetworkAdapterVlan db -Access -VlanId 5')
    const [web, db, cache] = await rows('Get-VMNetworkAdapterVlan')
    assert.deepEqual(pick(web, 'OperationMode', 'NativeVlanId', 'AllowedVlanIdList', 'VlanList'), [
      'Trunk',
      10,
      [1, 2, 3, 7],
      '10,1-3,7',
    ])
    assert.deepEqual(pick(db, 'Mode', 'AccessVlanId'), ['Access', 5])
    assert.equal(cache?.Mode, 'Untagged')
    const [isolated] = await rows('Set-VMNetworkAdapterVlan db -i -PrimaryVlanId 10 -SecondaryVlanId 11 -Passthru')
    assert.deepEqual(pick(isolated, 'Mode', 'PrimaryVlanId', 'SecondaryVlanId'), ['Isolated', 10, 11])
    await ok('Set-VMNetworkAdapterVlan db -Untagged')
    await fails('Set-VMNetworkAdapterVlan db -Access -NativeVlanId 3', 2, /-NativeVlanId does not go with -Access/)
    await fails('Set-VMNetworkAdapterVlan db -Trunk -Access', 2, /one of -Untagged/)
    const [isolation] = await rows('Set-VMNetworkAdapterIsolation db -IsolationMode Vlan -DefaultIsolationID 10 -Passthru')
    assert.deepEqual(pick(isolation, 'IsolationMode', 'DefaultIsolationID', 'AllowUntaggedTraffic'), ['Vlan', 10, false])
    const id = '952c5004-4465-451c-8cb8-fa9ab382b773'
    await ok(`Add-VMNetworkAdapterRoutingDomainMapping db ${id} blue 6001,6002 a,b`)
    await ok(`Set-VMNetworkAdapterRoutingDomainMapping db -RoutingDomainName blue -NewRoutingDomainName green`)
    const [domain] = await rows('Get-VMNetworkAdapterRoutingDomainMapping db')
    assert.deepEqual(pick(domain, 'RoutingDomainName', 'IsolationID', 'IsolationName'), ['green', [6001, 6002], ['a', 'b']])
    await ok(`Remove-VMNetworkAdapterRoutingDomainMapping db -RoutingDomainID ${id}`)
    assert.deepEqual(await rows('Get-VMNetworkAdapterRoutingDomainMapping db'), [])
  })

  test('add, show, meter and remove entries of ACLs', async () => {
    await ok('Add-VMNetworkAdapterAcl web -RemoteIPAddress 10.0.0.0/8,ANY -Direction Outbound -Action Deny')
    await ok('Add-VMNetworkAdapterAcl -VMName web -LocalIPAddress ANY -Direction Both -Action Meter')
    const acls = await rows('Get-VMNetworkAdapterAcl web')
    assert.deepEqual(
      acls.map((one) => pick(one, 'Action', 'Direction', 'LocalAddress', 'RemoteAddress')),
      [
        ['Deny', 'Outbound', '', '10.0.0.0/8'],
        ['Deny', 'Outbound', '', 'ANY'],
        ['Meter', 'Both', 'ANY', ''],
      ],
    )
    const [measured] = await rows('Measure-VM web')
    assert.deepEqual(
      (measured?.NetworkMeteredTrafficReport as Row[]).map((one) => pick(one, 'LocalAddress', 'Direction', 'Bytes')),
      [['ANY', 'Both', 0]],
    )
    await ok('Remove-VMNetworkAdapterAcl web -RemoteIPAddress any -Direction outbound -Action deny')
    assert.equal((await rows('Get-VMNetworkAdapterAcl web')).length, 2)
    await fails('Remove-VMNetworkAdapterAcl web -RemoteIPAddress 11.0.0.0/8 -Direction Outbound -Action Deny', 1, /no such entry/)
    const [rule] = await rows(
      'Add-VMNetworkAdapterExtendedAcl web Allow Inbound -LocalPort 443 -Protocol TCP -Weight 10 -Stateful $true -Passthru',
    )
    assert.deepEqual(pick(rule, 'Action', 'LocalPort', 'RemoteIPAddress', 'Protocol', 'Weight', 'Stateful'), [
      'Allow',
      '443',
      'ANY',
      'tcp',
      10,
      true,
    ])
    await ok('Remove-VMNetworkAdapterExtendedAcl web -Weight 10 -Direction Inbound')
    assert.deepEqual(await rows('Get-VMNetworkAdapterExtendedAcl'), [])
  })

  test('show and switch extensions, and set their features', async () => {
    writeFileSync(
      join(service.directory, 'marker.mjs'),
      `export default {
        id: '3f6b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a77', name: 'marker', version: '1.0.0', class: 'filtering',
        properties: { '3f6b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a78': { name: 'mark', version: '1.0', scope: 'port', parse: (value) => value } },
        attach() { return {} },
      }`,
    )
    await ok('ext install marker.mjs')
    const [off] = await rows('Get-VMSwitchExtension lab')
    assert.deepEqual(pick(off, 'Name', 'ExtensionType', 'Enabled', 'Running'), ['marker', 'Filter', false, false])
    const [on] = await rows('Enable-VMSwitchExtension -VMSwitchName lab -Name marker')
    assert.deepEqual(pick(on, 'Enabled', 'Running'), [true, true])
    await fails('Disable-VMSwitchExtension nothing lab', 1, /has no extension "nothing"/)
    const known = (await rows('Get-VMSystemSwitchExtension')).map(({ Name }) => Name)
    assert.ok(known.includes('acl') && known.includes('capture'))

    const [added] = await rows('Add-VMSwitchExtensionPortFeature db -FeatureName mark -SettingData {"level":1} -Passthru')
    assert.deepEqual(pick(added, 'Name', 'VMName', 'SettingData'), ['mark', 'db', { level: 1 }])
    const [got] = await rows('Get-VMSwitchExtensionPortFeature db -FeatureName ma*')
    const object = JSON.stringify({ ...got, SettingData: { level: 2 } })
    const [set] = await rows(`Set-VMSwitchExtensionPortFeature db -VMSwitchExtensionFeature ${object} -Passthru`)
    assert.deepEqual(set?.SettingData, { level: 2 })
    await ok('Remove-VMSwitchExtensionPortFeature db -FeatureId 3f6b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a78')
    assert.deepEqual(await rows('Get-VMSwitchExtensionPortFeature db -FeatureName mark'), [])
    assert.deepEqual(
      (await rows('Get-VMSwitchExtensionSwitchFeature lab')).map(({ Name }) => Name),
      ['bandwidth'],
    )
    await fails('Get-VMSwitchExtensionPortData db -FeatureId 3f6b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a78', 1, /./)
    await ok('Disable-VMSwitchExtension marker lab')
  })

  test('show what the hardware has, remove adapters and the switch, and explain themselves', async () => {
    assert.deepEqual(await rows('Get-NetAdapterVmqQueue'), [])
    assert.deepEqual(await rows('Get-VMSwitchTeam'), [])
    await fails('Set-VMSwitchTeam lab -LoadBalancingAlgorithm Dynamic', 1, /has no team/)
    await fails('Set-VMNetworkAdapterTeamMapping web', 2, /the team chooses the member/)
    await fails('Get-VMSwich', 2, /did you mean "Get-VMSwitch"\?/)
    await fails('Get-VMSwitch --frob', 2, /there is no option --frob/)
    assert.match(await ok('Set-VMNetworkAdapterVlan -?'), /Stands for: vmswitch vlan set[\s\S]*-AllowedVlanIdList +Of a trunk/)
    assert.match(await ok('help Get-VMSwitch'), /^Shows the switch\.\n/)
    assert.match(await ok('cmdlets'), /^Get-VMNetworkAdapterAcl +vmswitch acl list/m)
    assert.match(await ok('Get-VMNetworkAdapter db --list'), /^VMName +: db$/m)
    assert.equal(await ok('Remove-VMNetworkAdapter -VMName *'), '')
    assert.deepEqual(await rows('Get-VMNetworkAdapter'), [])
    await fails('Remove-VMSwitch lab', 2, /say -Force/)
    await ok('Remove-VMSwitch lab -Force')
    assert.deepEqual(await rows('Get-VMSwitch'), [])
  })
})
