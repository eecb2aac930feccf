// Stateful rules between the TCP of two Linux kernels, in namespaces, with scapy as the one who breaks in. Needs root.
import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import { eventually, inBox, type TapWorld, tapWorld, whyNoWorld } from '../support/tap-world.ts'
import { type Namespace, run } from '../support/veth.ts'

const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('../support/tracked-peer.py', import.meta.url))
const guests = { p1: '02:00:00:00:79:01', p2: '02:00:00:00:79:02' } as const
const IDLE_SECONDS = 5
const addresses = { 4: ['10.79.0.1', '10.79.0.2'], 6: ['fd00:79::1', 'fd00:79::2'] } as const
const PORT = 7000
/** How long who should be refused tries. */
const REFUSED_SECONDS = '1.5'

function whyNoScapy(): string | undefined {
  const done = spawnSync(PYTHON, ['-c', 'import scapy'], { encoding: 'utf8' })
  return done.status === 0 ? undefined : 'this machine has no scapy (python3-scapy)'
}

const skip = whyNoWorld() || (whyNoScapy() ?? false)

const out = {
  name: 'out',
  action: 'allow',
  direction: 'outbound',
  protocol: 'tcp',
  stateful: true,
  idleSessionTimeout: IDLE_SECONDS,
  weight: 2,
}
const notIn = { name: 'in', action: 'deny', direction: 'inbound', protocol: 'tcp', weight: 1 }

const names = ['p1', 'p2'] as const
const twoPorts = (t: TestContext, extensions: readonly ExtensionEntry[]): Promise<TapWorld> =>
  tapWorld(t, extensions, guests, { ports: { p2: { macSpoofing: 'on', learning: true } } })

// Gives an interface its addresses.
function equip(side: Namespace, i: number, device: string): void {
  side.ip('address', 'add', `${addresses[4][i]}/24`, 'dev', device)
  side.ip('address', 'add', `${addresses[6][i]}/64`, 'dev', device, 'nodad')
}

async function world(t: TestContext, extensions: readonly ExtensionEntry[] = []): Promise<TapWorld> {
  const made = await twoPorts(t, extensions)
  for (const [i, name] of names.entries()) equip(made.guests[name]!, i, made.guests[name]!.device)
  return made
}

/** Puts the first port behind stateful rules. */
const follow = ({ vmswitch }: TapWorld): Promise<unknown> =>
  vmswitch.policies.add(vmswitch.portId('p1'), { type: 'extended-acl', value: { rules: [out, notIn] } })

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
    const made = await world(t)
    await follow(made)
    const { vmswitch } = made
    const [inside, outside] = [made.guests.p1!, made.guests.p2!]
    const [local, remote] = addresses[family]
    const drops = (): Readonly<Record<string, number>> => vmswitch.drops().find(({ port }) => port === 'p1')?.reasons ?? {}

    const behind = new Peer(t, inside, 'serve', local, String(PORT))
    assert.equal(await behind.hear(), 'ready')
    assert.equal(await new Peer(t, outside, 'talk', local, String(PORT), REFUSED_SECONDS).hear(), 'refused')
    assert.ok((drops()['extended-acl'] ?? 0) > 0, 'the SYN from outside was dropped')

    const server = new Peer(t, outside, 'serve', remote, String(PORT))
    assert.equal(await server.hear(), 'ready')
    const client = new Peer(t, inside, 'talk', remote, String(PORT))
    const [said, localPort] = (await client.hear()).split(' ')
    assert.equal(said, 'connected')
    server.tell('answer')
    assert.equal(await client.ask('hello'), 'hello')
    assert.equal(await server.hear(), 'hello')

    const forged = ['reset', outside.device, guests.p2, guests.p1, remote, local, String(PORT), localPort!]
    run('ip', 'netns', 'exec', outside.name, PYTHON, script, ...forged)
    server.tell('answer')
    assert.equal(await client.ask('again'), 'again')
    assert.equal(await server.hear(), 'again')
    assert.ok((drops()['connection-invalid'] ?? 0) >= 50, `forged resets were dropped: ${JSON.stringify(drops())}`)
    const { connections } = vmswitch.policies.connections.list(vmswitch.portId('p1'))
    assert.deepEqual(
      connections.map(({ state, localAddress, remotePort }) => [state, localAddress, remotePort]),
      [['established', local, PORT]],
    )

    const isOver = (): boolean => vmswitch.policies.connections.list(vmswitch.portId('p1')).connections.length === 0
    await eventually(isOver, 'the end of the idle connection')
    const before = drops()['extended-acl'] ?? 0
    assert.equal(await server.ask('late'), 'sent')
    assert.equal(await client.ask('quiet'), 'nothing')
    assert.ok((drops()['extended-acl'] ?? 0) > before, 'what came after it was dropped')
  })

/** The same ports on another switch, in the same namespaces. */
async function moveTo(t: TestContext, from: TapWorld, extensions: readonly ExtensionEntry[]): Promise<TapWorld> {
  const saved = await from.vmswitch.moves.save('p1')
  const there = await twoPorts(t, extensions)
  for (const [i, name] of names.entries()) {
    const [side, { device, name: space }] = [from.guests[name]!, there.guests[name]!]
    side.ip('link', 'set', side.device, 'down')
    side.ip('address', 'flush', 'dev', side.device)
    run('ip', '-n', space, 'link', 'set', device, 'netns', side.name)
    side.ip('link', 'set', device, 'address', guests[name])
    side.ip('link', 'set', device, 'up')
    equip(side, i, device)
  }
  await eventually(() => there.vmswitch.ports().every((port) => port.connected), 'the ports there')
  await there.vmswitch.moves.restore(saved.ports[0]!, undefined)
  return there
}

interface Talk {
  readonly server: Peer
  readonly client: Peer
}

// A connection from inside, over which something was said.
async function talk(t: TestContext, { guests: { p1, p2 } }: TapWorld): Promise<Talk> {
  const [, remote] = addresses[4]
  const server = new Peer(t, p2!, 'serve', remote, String(PORT))
  assert.equal(await server.hear(), 'ready')
  const client = new Peer(t, p1!, 'talk', remote, String(PORT))
  assert.match(await client.hear(), /^connected/)
  server.tell('answer')
  assert.equal(await client.ask('hello'), 'hello')
  return { server, client }
}

async function goesOn({ server, client }: Talk): Promise<void> {
  assert.equal(await server.hear(), 'hello')
  assert.equal(await server.ask('news'), 'sent')
  assert.equal(await client.ask('hear'), 'news')
}

test('a TCP connection goes on where its port is moved to, and the other side may speak first', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const here = await world(t)
  await follow(here)
  const connection = await talk(t, here)
  const { vmswitch } = await moveTo(t, here, [])
  const listed = vmswitch.policies.connections.list(vmswitch.portId('p1')).connections
  assert.deepEqual(
    listed.map(({ state, remotePort }) => [state, remotePort]),
    [['established', PORT]],
  )
  await goesOn(connection)
})

test('what the firewall has let through goes on where the port is moved to, and what is new is judged there', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const egress = [{ name: 'out', to: [`${addresses[4][1]}/32`], protocol: 'tcp', ports: PORT }]
  const firewall = inBox('firewall', { audit: false, groups: [{ name: 'vms', ports: ['p1'], egress }] })
  const here = await world(t, [firewall])
  const [local, remote] = addresses[4]
  const connection = await talk(t, here)
  await moveTo(t, here, [firewall])
  await goesOn(connection)
  const [inside, outside] = [here.guests.p1!, here.guests.p2!]
  const [other, behind] = [new Peer(t, outside, 'serve', remote, `${PORT + 1}`), new Peer(t, inside, 'serve', local, `${PORT}`)]
  assert.deepEqual([await other.hear(), await behind.hear()], ['ready', 'ready'])
  assert.equal(await new Peer(t, inside, 'talk', remote, `${PORT + 1}`, REFUSED_SECONDS).hear(), 'refused')
  assert.equal(await new Peer(t, outside, 'talk', local, `${PORT}`, REFUSED_SECONDS).hear(), 'refused')
})
