// A team of two uplinks to one physical switch (a Linux bridge in a network namespace), whose cables are pulled: what gets lost, what
// comes twice, and what the bridge learns. Needs root.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { MemoryEndpoint } from '../../src/endpoints/memory/memory-endpoint.ts'
import { createSwitch, type PortConfig, type RunningSwitch } from '../../src/engine/host.ts'
import { udpFrame } from '../../src/packet/build.ts'
import { whyNoTap } from '../support/machine.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { ip, Namespace, run, VethPair, whyNoVeth } from '../support/veth.ts'

const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('../support/team-frames.py', import.meta.url))
const skip = whyNoTap() ?? whyNoVeth() ?? false
const GUEST = '02:00:00:00:88:01'
/** Of one failover: the frame at which the member goes, and how many come when it is gone. */
const PULLED_AT = 150
const FRAMES_AFTER = 200
const FRAMES_MAX = 30_000
/** Flows of a guest whose frames are spread over the members. */
const FLOWS = 8

interface World {
  readonly vmswitch: RunningSwitch
  readonly outside: Namespace
  readonly cables: readonly VethPair[]
  readonly guest: ReturnType<MemoryEndpoint['peer']>
  readonly bridgeMac: string
  readonly events: string[]
}

async function world(t: TestContext, teaming: PortConfig['teaming'] = {}): Promise<World> {
  const cables = [new VethPair(), new VethPair()]
  const outside = new Namespace()
  outside.ip('link', 'add', 'br0', 'type', 'bridge')
  run(
    'ip',
    'netns',
    'exec',
    outside.name,
    'sysctl',
    '-qw',
    'net.ipv6.conf.all.disable_ipv6=1',
    'net.ipv6.conf.default.disable_ipv6=1',
  )
  for (const { far } of cables) {
    ip('link', 'set', far, 'netns', outside.name)
    outside.ip('link', 'set', far, 'master', 'br0')
    outside.ip('link', 'set', far, 'up')
  }
  outside.ip('link', 'set', 'br0', 'up')
  const bridgeMac = run('ip', 'netns', 'exec', outside.name, 'cat', '/sys/class/net/br0/address').trim()
  const uplink = (pair: VethPair) =>
    ({ kind: 'uplink', interface: pair.near, via: 'packet', queues: 1, promiscuous: true, qdiscBypass: false }) as const
  const plain = { macSpoofing: 'off', link: 'up' } as const
  const events: string[] = []
  const vmswitch = await createSwitch(
    {
      name: 'teamed',
      type: 'external',
      processors: 1,
      extensions: [],
      ports: [
        {
          ...plain,
          name: 'uplink',
          mac: null,
          learning: true,
          endpoint: uplink(cables[0]!),
          adapters: [uplink(cables[1]!)],
          teaming,
        },
        { ...plain, name: 'guest', mac: GUEST, learning: false, endpoint: { kind: 'memory' } },
      ],
      macTable: { entries: 64, ageingSeconds: 0 },
      directory: temporaryDirectory(),
    },
    { log: ({ code, message }) => events.push(`${code}: ${message}`) },
  )
  const endpoint = vmswitch.endpoint('guest') as MemoryEndpoint
  const guest = endpoint.peer()
  t.after(async () => {
    guest.close()
    await vmswitch.close()
    outside.delete()
    for (const pair of cables) pair.delete()
  })
  const active = () => vmswitch.effects.team.status()!.members.filter(({ active: isActive }) => isActive).length
  for (let i = 0; i < 3000 && (active() < 2 || !vmswitch.ports().every(({ connected }) => connected)); i++) await sleep(10)
  assert.equal(active(), 2)
  return { vmswitch, outside, cables, guest, bridgeMac, events }
}

function frame(to: string, text: string): Buffer {
  const bytes = Buffer.alloc(60)
  bytes.write(to.replaceAll(':', ''), 0, 'hex')
  bytes.write(GUEST.replaceAll(':', ''), 6, 'hex')
  bytes.writeUInt16BE(0x88b5, 12)
  bytes.write(text, 14)
  return bytes
}

/** UDP from a port of the guest: of one flow. */
const datagram = (to: string, port: number, text: string): Uint8Array =>
  udpFrame(
    { sourceMac: GUEST, destinationMac: to, source: '10.88.0.1', destination: '10.88.0.2' },
    port,
    2000,
    Buffer.from(text.padEnd(20, '\0')),
  )

const memberOf = ({ vmswitch }: World): string =>
  vmswitch.effects.team.status()!.members.find(({ ports }) => ports.includes('guest'))!.name

/** The bridge's port behind which it has learned the guest. */
const learnedBehind = ({ outside }: World): string =>
  /dev (\S+)/.exec(
    run('bridge', '-n', outside.name, 'fdb', 'show', 'br', 'br0')
      .split('\n')
      .find((line) => line.startsWith(GUEST)) ?? '',
  )?.[1] ?? ''

// Of streams: how long a member is gone before frames go by the other one, by the sender's clock.
test('streams go on over the other member when a cable is pulled or an interface is set down, in order, and come back', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const it = await world(t)
  const hearing = spawn('ip', ['netns', 'exec', it.outside.name, PYTHON, script, 'hear', 'br0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => hearing.on('close', resolve))
  const heard: number[] = []
  let isReady = false
  createInterface({ input: hearing.stdout }).on('line', (line) => {
    if (line === 'ready') isReady = true
    else if (line !== 'end') heard.push(Number(line))
  })
  const until = async (done: () => boolean, what: string): Promise<void> => {
    for (let tries = 0; tries < 3000 && !done(); tries++) await sleep(10)
    assert.ok(done(), what)
  }
  const members = () => it.vmswitch.effects.team.status()!.members
  await until(() => isReady, 'who hears')
  const sentAt: number[] = []
  let flows = 0

  const failover = async (loadBalancing: 'HyperVPort' | 'Dynamic', down: 'cable' | 'interface'): Promise<void> => {
    const first = memberOf(it)
    const pulled = it.cables.find(({ near }) => near === first)!
    const began = sentAt.length
    const carried = members().map(({ counters }) => counters.sentFrames)
    const port = 1000 + flows++ * FLOWS
    for (let k = 0, after = 0; k < FRAMES_MAX && after < FRAMES_AFTER; k++) {
      if (k === PULLED_AT && down === 'cable') spawn('ip', ['-n', it.outside.name, 'link', 'set', pulled.far, 'down'])
      if (k === PULLED_AT && down === 'interface') spawn('ip', ['link', 'set', pulled.near, 'down'])
      const text = `seq ${sentAt.length}`
      const isFlow = loadBalancing === 'Dynamic'
      const sent = isFlow ? datagram(it.bridgeMac, port + (k % FLOWS), text) : frame(it.bridgeMac, text)
      assert.ok(it.guest.send(sent))
      sentAt.push(performance.now())
      await sleep(1)
      if (k > PULLED_AT && memberOf(it) !== first) after++
    }
    const what = `${loadBalancing}, ${down}`
    const last = sentAt.length - 1
    await until(() => heard.includes(last), `${what}: the last frame`)
    assert.notEqual(memberOf(it), first, what)
    const all = new Set(heard)
    const lost = sentAt.flatMap((_, number) => (number < began || all.has(number) ? [] : [number]))
    const ms = lost.length === 0 ? 0 : sentAt[lost.at(-1)! + 1]! - sentAt[lost[0]!]!
    t.diagnostic(
      `${what}: ${lost.length} of ${sentAt.length - began} frames, sent 1 ms apart, were lost, all within ${ms.toFixed(1)} ms`,
    )
    assert.ok(
      lost.every((number) => number >= began + PULLED_AT - 1),
      `${what}: nothing before`,
    )
    const byAll = members().every(
      ({ counters }, i) => counters.sentFrames > carried[i]! + (loadBalancing === 'Dynamic' ? FLOWS : 0),
    )
    assert.ok(byAll, `${what}: each member carried some`)
    const perFlow = loadBalancing === 'Dynamic' ? FLOWS : 1
    const order = heard.filter((number) => number >= began)
    for (let flow = 0; flow < perFlow; flow++) {
      const ofFlow = order.filter((number) => (number - began) % perFlow === flow)
      assert.ok(
        ofFlow.every((number, i) => i === 0 || number > ofFlow[i - 1]!),
        `${what}: in order, none twice`,
      )
    }
    assert.ok(it.events.some((line) => line.startsWith('team-member-inactive') && line.includes(first)))
    it.events.length = 0
    if (down === 'cable') it.outside.ip('link', 'set', pulled.far, 'up')
    else ip('link', 'set', pulled.near, 'up')
    await until(() => memberOf(it) === first, `${what}: it is back on its own member`)
  }
  for (const loadBalancing of ['HyperVPort', 'Dynamic'] as const) {
    await it.vmswitch.setPort('uplink', { teaming: { loadBalancing } })
    for (const down of ['cable', 'interface'] as const) await failover(loadBalancing, down)
  }
  for (let i = 0; i < 100 && hearing.exitCode === null; i++) {
    it.guest.send(frame(it.bridgeMac, 'seq end'))
    await sleep(20)
  }
  await ended
})

test('the physical switch learns the new place of a guest that is silent', { skip, timeout: 120_000 }, async (t) => {
  const it = await world(t)
  it.guest.send(frame(it.bridgeMac, 'hello'))
  for (let i = 0; i < 3000 && learnedBehind(it) === ''; i++) await sleep(10)
  const before = learnedBehind(it)
  const pulled = it.cables.find(({ far }) => far === before)!
  it.outside.ip('link', 'set', pulled.far, 'down')
  const other = it.cables.find(({ far }) => far !== before)!
  for (let i = 0; i < 3000 && learnedBehind(it) !== other.far; i++) await sleep(10)
  assert.equal(learnedBehind(it), other.far)
  assert.ok(it.vmswitch.effects.team.status()!.announced >= 1)
})

test('what the physical switch floods to both members comes once, and what the guest sends does not come back', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const it = await world(t)
  for (let i = 0; i < 20; i++) it.guest.send(frame('ff:ff:ff:ff:ff:ff', `own ${i}`))
  run('ip', 'netns', 'exec', it.outside.name, PYTHON, script, 'call', 'br0', '50')
  const members = () => it.vmswitch.effects.team.status()!.members
  const sum = (counter: 'duplicates' | 'reflections'): number =>
    members().reduce((all, { counters }) => all + counters[counter], 0)
  for (let i = 0; i < 3000 && (sum('duplicates') < 50 || sum('reflections') < 20); i++) await sleep(10)
  const texts: string[] = []
  for (let got = it.guest.receive(); got; got = it.guest.receive())
    texts.push(Buffer.from(got).toString('latin1', 14).replace(/\0.*/, ''))
  assert.deepEqual(
    texts.filter((text) => text.startsWith('call')),
    Array.from({ length: 50 }, (_, i) => `call ${i}`),
  )
  assert.deepEqual(
    texts.filter((text) => text.startsWith('own')),
    [],
  )
  assert.equal(sum('reflections'), 20)
})
