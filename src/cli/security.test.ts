import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeHost } from '../manage/control/fake-host.ts'
import type { RemoteSwitchHost } from '../manage/host.ts'
import { listSecurity, type SecurityWish, securityChange, setSecurity } from './commands/security.ts'
import { vlanValue } from './commands/vlan.ts'
import { createTerminal } from './terminal.ts'

test('words of the command line are members of two properties, in the words of Hyper-V or of Linux', () => {
  const wish: SecurityWish = {
    teaming: 'on',
    priorityTag: 'off',
    addressLimit: 3,
    dhcpGuard: 'on',
    sourceGuard: '10.0.0.5, learned',
  }
  assert.deepEqual(securityChange({ ...wish, macSpoofing: 'on', routerGuard: 'off', stormLimit: '1000' }), {
    security: { allowMacSpoofing: true, allowTeaming: true, allowIeeePriorityTag: false, dynamicIpAddressLimit: 3 },
    protection: { dhcpGuard: true, routerGuard: false, stormLimit: 1000, sourceGuard: ['10.0.0.5', 'learned'] },
  })
  assert.deepEqual(securityChange({ spoofchk: 'on', raGuard: 'on', stormControl: 'broadcast=100,multicast=10mbit' }), {
    security: { allowMacSpoofing: false },
    protection: { routerGuard: true, stormLimit: { broadcast: 100, multicast: '10mbit' } },
  })
  assert.deepEqual(securityChange({ stormLimit: 'off', sourceGuard: 'off' }).protection, { stormLimit: 0, sourceGuard: null })
  assert.throws(() => securityChange({}), /nothing is named that could be changed/)
  assert.throws(() => securityChange({ raGuard: 'on', routerGuard: 'on' }), /--router-guard and --ra-guard are two names/)
  assert.throws(() => securityChange({ spoofchk: 'on', macSpoofing: 'off' }), /--mac-spoofing and --spoofchk are two names/)
})

test('VLANs can be written in the words of Open vSwitch and of Linux bridges', () => {
  assert.deepEqual(vlanValue({ tag: 10 }), vlanValue({ access: 10 }))
  assert.deepEqual(vlanValue({ pvid: 10 }), vlanValue({ access: 10 }))
  assert.deepEqual(vlanValue({ trunks: '10,20-30', tag: 5 }), vlanValue({ trunk: '10,20-30', native: 5 }))
  assert.deepEqual(vlanValue({ trunks: '10' }), vlanValue({ trunk: '10' }))
  assert.throws(() => vlanValue({ tag: 10, access: 10 }), /--access and --tag are two names of one setting/)
  assert.throws(() => vlanValue({ trunk: '10', trunks: '10' }), /--trunk and --trunks/)
  assert.throws(() => vlanValue({ tag: 10, isolated: true }), /a port has one mode/)
})

/** A host whose properties are what was set last. */
function world(): { host: RemoteSwitchHost; properties: Record<string, unknown> } {
  const properties: Record<string, unknown> = {}
  const put = ({ type, value }: { type: string; value: unknown }): void => {
    properties[type] = value
  }
  const host = {
    ...fakeHost().host,
    properties: () => Object.entries(properties).map(([type, value]) => ({ port: 'alpha', type, value })),
    addProperty: put,
    setProperty: put,
    removeProperty: ({ type }: { type: string }) => void delete properties[type],
  } as unknown as RemoteSwitchHost
  return { host, properties }
}

async function run(
  host: RemoteSwitchHost,
  work: (context: Parameters<typeof listSecurity>[0]) => Promise<void>,
): Promise<string> {
  let said = ''
  const stdout = { write: (text: string) => (said += text) } as unknown as NodeJS.WritableStream
  const terminal = createTerminal({ json: false }, { env: {}, stdout, stderr: stdout })
  await work({ terminal, env: {}, cwd: '/', connect: async () => host, control: () => Promise.reject(new Error('not asked')) })
  return said
}

test('what is not named stays as it is, and is shown', async () => {
  const { host, properties } = world()
  assert.match(await run(host, (context) => listSecurity(context, 'alpha')), /^alpha +\S+ +priority-tag +-$/m)
  const set = (wish: SecurityWish): Promise<string> => run(host, (context) => setSecurity(context, 'alpha', wish))
  await set({ teaming: 'on', dhcpGuard: 'on', stormLimit: '500', sourceGuard: 'learned', addressLimit: 2 })
  assert.deepEqual(properties, {
    security: { allowMacSpoofing: false, allowIeeePriorityTag: true, allowTeaming: true, dynamicIpAddressLimit: 2 },
    protection: { dhcpGuard: true, stormLimit: 500, sourceGuard: ['learned'] },
  })
  assert.match(
    await set({ raGuard: 'on', priorityTag: 'off' }),
    /^alpha +\S+ +teaming +dhcp, router, sources learned, at most 2 learned, storm 500$/m,
  )
  await set({ sourceGuard: 'off', stormLimit: 'off' })
  assert.deepEqual(properties.protection, { dhcpGuard: true, stormLimit: 0, routerGuard: true })
  await assert.rejects(
    run(host, (context) => setSecurity(context, 'nobody', { teaming: 'on' })),
    /there is no port "nobody"/,
  )
})
