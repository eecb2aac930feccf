// The ACLs of ports between two network namespaces, whose kernels send what is judged: ICMP of both families. Needs root.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSwitch, type PortConfig, type RunningSwitch } from '../../src/engine/host.ts'
import { whyNoTap } from '../support/machine.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { Namespace, run } from '../support/veth.ts'

const MAC = '02:00:00:00:78:0'
const skip = whyNoTap() ?? (existsSync('/bin/busybox') ? false : 'this machine has no busybox, whose ping is used')

interface World {
  readonly vmswitch: RunningSwitch
  readonly sides: readonly Namespace[]
}

// Two TAP ports, each in a namespace with addresses of both families in two networks.
async function world(t: TestContext): Promise<World> {
  const sides = [new Namespace(), new Namespace()]
  const interfaces = [1, 2].map((side) => `va${process.pid % 100000}x${side}`)
  const ports = interfaces.map(
    (name, i): PortConfig => ({
      name: `p${i + 1}`,
      mac: `${MAC}${i + 1}`,
      macSpoofing: 'off',
      learning: false,
      link: 'up',
      endpoint: { kind: 'tap', interface: name, mtu: 1500, queues: 1 },
    }),
  )
  const macTable = { entries: 64, ageingSeconds: 0 }
  const vmswitch = await createSwitch(
    { name: 'judged', type: 'private', processors: 2, extensions: [], ports, macTable, directory: temporaryDirectory() },
    { log: () => {} },
  )
  t.after(async () => {
    await vmswitch.close()
    for (const side of sides) side.delete()
  })
  for (const [i, side] of sides.entries()) {
    const name = interfaces[i]!
    run('ip', 'link', 'set', name, 'netns', side.name)
    side.ip('link', 'set', name, 'address', `${MAC}${i + 1}`)
    for (const net of [78, 79]) {
      side.ip('address', 'add', `10.${net}.0.${i + 1}/24`, 'dev', name)
      side.ip('-6', 'address', 'add', `fd00:${net}::${i + 1}/64`, 'dev', name, 'nodad')
    }
    side.ip('link', 'set', name, 'up')
  }
  for (let i = 0; i < 500 && !vmswitch.ports().every(({ connected }) => connected); i++) await sleep(10)
  return { vmswitch, sides }
}

/** True if the first side gets an answer from an address of the second. */
const answers = ({ sides }: World, address: string): boolean =>
  spawnSync('ip', ['netns', 'exec', sides[0]!.name, '/bin/busybox', 'ping', '-c', '1', '-W', '1', address]).status === 0

const all = ['10.78.0.2', 'fd00:78::2', '10.79.0.2', 'fd00:79::2']

test('what the ACLs of a port refuse does not get through, what they allow does, and what they meter is told', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const one = await world(t)
  const { policies } = one.vmswitch
  const port = one.vmswitch.portId('p1')
  const reached = (): string[] => all.filter((address) => answers(one, address))
  for (let i = 0; i < 20 && reached().length < all.length; i++) await sleep(100)
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
