// Stateful rules between the TCP of two Linux kernels, in namespaces, with scapy as the one who breaks in. Needs root.
import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createSwitch, type PortConfig, type RunningSwitch } from '../../src/engine/host.ts'
import { whyNoTap } from '../support/machine.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { Namespace, run } from '../support/veth.ts'

const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('../support/tracked-peer.py', import.meta.url))
const MAC = '02:00:00:00:79:0'
const IDLE_SECONDS = 5
const addresses = { 4: ['10.79.0.1', '10.79.0.2'], 6: ['fd00:79::1', 'fd00:79::2'] } as const
const PORT = 7000

function whyNoScapy(): string | undefined {
  const done = spawnSync(PYTHON, ['-c', 'import scapy'], { encoding: 'utf8' })
  return done.status === 0 ? undefined : 'this machine has no scapy (python3-scapy)'
}

const skip = whyNoTap() ?? whyNoScapy() ?? false

interface World {
  readonly vmswitch: RunningSwitch
  readonly sides: readonly Namespace[]
  readonly interfaces: readonly string[]
}

// A switch with two TAP ports, each in one of two namespaces.
async function joined(t: TestContext, sides: readonly Namespace[], letter: string, names: readonly string[]): Promise<World> {
  const interfaces = names.map((_, side) => interfaceOf(letter, side))
  const ports = names.map((name, i) => portOf(name, i, interfaces[i]!))
  const macTable = { entries: 64, ageingSeconds: 0 }
  const vmswitch = await createSwitch(
    { name: 'tracking', type: 'private', processors: 2, extensions: [], ports, macTable, directory: temporaryDirectory() },
    { log: () => {} },
  )
  t.after(() => vmswitch.close())
  return { vmswitch, sides, interfaces }
}

const interfaceOf = (letter: string, side: number): string => `v${letter}${process.pid % 100000}x${side + 1}`

const portOf = (name: string, side: number, tap: string): PortConfig => ({
  name,
  mac: `${MAC}${side + 1}`,
  macSpoofing: side === 0 ? 'off' : 'on',
  learning: side !== 0,
  link: 'up',
  endpoint: { kind: 'tap', interface: tap, mtu: 1500, queues: 1 },
})

// Gives the namespace of a side its interface.
function equip(side: Namespace, i: number, name: string): void {
  run('ip', 'link', 'set', name, 'netns', side.name)
  side.ip('link', 'set', name, 'address', `${MAC}${i + 1}`)
  side.ip('link', 'set', name, 'up')
  side.ip('address', 'add', `${addresses[4][i]}/24`, 'dev', name)
  side.ip('address', 'add', `${addresses[6][i]}/64`, 'dev', name, 'nodad')
}

async function connected(vmswitch: RunningSwitch): Promise<void> {
  for (let i = 0; i < 3000 && !vmswitch.ports().every((port) => port.connected); i++) await sleep(10)
}

// The first port is behind stateful rules.
async function world(t: TestContext): Promise<World> {
  const sides = [new Namespace(), new Namespace()]
  const made = await joined(t, sides, 's', ['p1', 'p2'])
  const { vmswitch } = made
  t.after(() => {
    for (const side of sides) side.delete()
  })
  for (const [i, side] of sides.entries()) equip(side, i, made.interfaces[i]!)
  await connected(vmswitch)
  const rules = [
    {
      name: 'out',
      action: 'allow',
      direction: 'outbound',
      protocol: 'tcp',
      stateful: true,
      idleSessionTimeout: IDLE_SECONDS,
      weight: 2,
    },
    { name: 'in', action: 'deny', direction: 'inbound', protocol: 'tcp', weight: 1 },
  ]
  await vmswitch.policies.add(vmswitch.portId('p1'), { type: 'extended-acl', value: { rules } })
  return made
}

/** A program in a namespace that answers lines with lines. */
class Peer {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: AsyncIterator<string>

  constructor(t: TestContext, side: Namespace, ...words: string[]) {
    const stdio = ['pipe', 'pipe', 'inherit'] as ['pipe', 'pipe', 'inherit']
    this.#child = spawn('ip', ['netns', 'exec', side.name, PYTHON, script, ...words], { stdio })
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]()
    t.after(() => this.#child.kill())
  }

  async hear(): Promise<string> {
    return (await this.#lines.next()).value ?? 'ended'
  }

  tell(line: string): void {
    this.#child.stdin.write(`${line}\n`)
  }

  ask(line: string): Promise<string> {
    this.tell(line)
    return this.hear()
  }
}

for (const family of [4, 6] as const)
  test(`TCP from inside is answered, from outside refused, outlives forged resets and ends by idleness (IPv${family})`, {
    skip,
    timeout: 60_000,
  }, async (t) => {
    const { vmswitch, sides, interfaces } = await world(t)
    const [inside, outside] = sides as [Namespace, Namespace]
    const [local, remote] = addresses[family]
    const drops = (): Readonly<Record<string, number>> => vmswitch.drops().find(({ port }) => port === 'p1')?.reasons ?? {}

    const behind = new Peer(t, inside, 'serve', local, String(PORT))
    assert.equal(await behind.hear(), 'ready')
    assert.equal(await new Peer(t, outside, 'talk', local, String(PORT)).hear(), 'refused')
    assert.ok((drops()['extended-acl'] ?? 0) > 0, 'the SYN from outside was dropped')

    const server = new Peer(t, outside, 'serve', remote, String(PORT))
    assert.equal(await server.hear(), 'ready')
    const client = new Peer(t, inside, 'talk', remote, String(PORT))
    const [said, localPort] = (await client.hear()).split(' ')
    assert.equal(said, 'connected')
    server.tell('answer')
    assert.equal(await client.ask('hello'), 'hello')
    assert.equal(await server.hear(), 'hello')

    run(
      'ip',
      'netns',
      'exec',
      outside.name,
      PYTHON,
      script,
      'reset',
      interfaces[1]!,
      `${MAC}2`,
      `${MAC}1`,
      remote,
      local,
      String(PORT),
      localPort!,
    )
    server.tell('answer')
    assert.equal(await client.ask('again'), 'again')
    assert.equal(await server.hear(), 'again')
    assert.ok((drops()['connection-invalid'] ?? 0) >= 50, `forged resets were dropped: ${JSON.stringify(drops())}`)
    const { connections } = vmswitch.policies.connections.list(vmswitch.portId('p1'))
    assert.deepEqual(
      connections.map(({ state, localAddress, remotePort }) => [state, localAddress, remotePort]),
      [['established', local, PORT]],
    )

    await sleep((IDLE_SECONDS + 1) * 1000)
    assert.deepEqual(vmswitch.policies.connections.list(vmswitch.portId('p1')).connections, [])
    const before = drops()['extended-acl'] ?? 0
    assert.equal(await server.ask('late'), 'sent')
    assert.equal(await client.ask('hear'), 'nothing')
    assert.ok((drops()['extended-acl'] ?? 0) > before, 'what came after it was dropped')
  })

test('a TCP connection goes on where its port is moved to, and the other side may speak first', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const { vmswitch, sides, interfaces } = await world(t)
  const [inside, outside] = sides as [Namespace, Namespace]
  const [, remote] = addresses[4]
  const server = new Peer(t, outside, 'serve', remote, String(PORT))
  assert.equal(await server.hear(), 'ready')
  const client = new Peer(t, inside, 'talk', remote, String(PORT))
  assert.match(await client.hear(), /^connected/)
  server.tell('answer')
  assert.equal(await client.ask('hello'), 'hello')

  const saved = await vmswitch.moves.save('p1')
  const there = await joined(t, sides, 't', ['p1', 'p2'])
  for (const [i, side] of sides.entries()) {
    side.ip('link', 'set', interfaces[i]!, 'down')
    side.ip('address', 'flush', 'dev', interfaces[i]!)
    equip(side, i, there.interfaces[i]!)
  }
  await connected(there.vmswitch)
  await there.vmswitch.moves.restore(saved.ports[0]!, undefined)
  const listed = there.vmswitch.policies.connections.list(there.vmswitch.portId('p1')).connections
  assert.deepEqual(
    listed.map(({ state, remotePort }) => [state, remotePort]),
    [['established', PORT]],
  )
  assert.equal(await server.hear(), 'hello')
  assert.equal(await server.ask('news'), 'sent')
  assert.equal(await client.ask('hear'), 'news')
})
