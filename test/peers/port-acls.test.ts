// The ACLs of ports between two network namespaces, whose kernels send what is judged: ICMP of both families. Needs root.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { BUSYBOX, type TapWorld, tapWorld, whyNoWorld } from '../support/tap-world.ts'

const skip = whyNoWorld()

const guests = { p1: '02:00:00:00:78:01', p2: '02:00:00:00:78:02' } as const

// Two guests with addresses of both families in two networks.
async function twoNetworks(t: TestContext): Promise<TapWorld> {
  const world = await tapWorld(t, [], guests)
  for (const [i, guest] of [world.guests.p1!, world.guests.p2!].entries())
    for (const net of [78, 79]) {
      guest.ip('address', 'add', `10.${net}.0.${i + 1}/24`, 'dev', guest.device)
      guest.ip('-6', 'address', 'add', `fd00:${net}::${i + 1}/64`, 'dev', guest.device, 'nodad')
    }
  return world
}

/** True if the first guest gets an answer from an address of the second. */
const answers = (world: TapWorld, address: string): boolean =>
  world.in('p1', BUSYBOX, 'ping', '-c', '1', '-W', '1', address).status === 0

const all = ['10.78.0.2', 'fd00:78::2', '10.79.0.2', 'fd00:79::2']

test('what the ACLs of a port refuse does not get through, what they allow does, and what they meter is told', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const one = await twoNetworks(t)
  const { policies } = one.vmswitch
  const port = one.vmswitch.portId('p1')
  const reached = (): string[] => all.filter((address) => answers(one, address))
  for (let i = 0; i < 300 && reached().length < all.length; i++) await sleep(100)
  assert.deepEqual(reached(), all, 'without ACLs')

  const deny = { action: 'deny', direction: 'outbound' }
  await policies.add(port, { type: 'acl', value: { entries: [{ ...deny, remoteIPAddress: '10.0.0.0/8' }] } })
  assert.deepEqual(reached(), ['fd00:78::2', 'fd00:79::2'], 'IPv4 is denied')

  const entries = [
    { ...deny, remoteIPAddress: '10.0.0.0/8' },
    { action: 'allow', direction: 'outbound', remoteIPAddress: '10.79.0.0/24' },
    { action: 'meter', direction: 'both', remoteIPAddress: '10.79.0.2' },
  ]
  await policies.update(port, { type: 'acl', value: { entries } })
  assert.deepEqual(reached(), ['fd00:78::2', '10.79.0.2', 'fd00:79::2'], 'the longer prefix allows')
  const metered = policies.acls.counts(port).entries[2]!
  assert.deepEqual([metered.packets, metered.bytes], [2, 2 * (14 + 84)], 'the request and its answer')
  await policies.delete(port, { type: 'acl' })

  const rules = [
    {
      name: 'no IPv6 answers',
      action: 'deny',
      direction: 'inbound',
      protocol: 'icmpv6',
      remoteIPAddress: 'fd00:79::2',
      weight: 10,
    },
    { name: 'no IPv4 answers', action: 'deny', direction: 'inbound', protocol: 'icmp', remoteIPAddress: '10.78.0.0/24' },
  ]
  await policies.add(port, { type: 'extended-acl', value: { rules } })
  assert.deepEqual(reached(), ['fd00:78::2', '10.79.0.2'], 'answers are judged as they are delivered')
  const drops = one.vmswitch.drops().find((entry) => entry.port === 'p1')?.reasons ?? {}
  assert.ok((drops['port-acl'] ?? 0) > 0 && (drops['extended-acl'] ?? 0) > 0, JSON.stringify(drops))
  await policies.delete(port, { type: 'extended-acl' })
  assert.deepEqual(reached(), all, 'when they are gone')
})
