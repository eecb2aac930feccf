// A team of two uplinks to one physical switch (a Linux bridge in a network namespace), whose cables are pulled: what gets lost, what
// comes twice, and what the bridge learns. Needs root.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { MemoryEndpoint } from '../../src/endpoints/memory/memory-endpoint.ts'
import { createSwitch, type PortConfig, type RunningSwitch } from '../../src/engine/host.ts'
import { whyNoTap } from '../support/machine.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { ip, Namespace, run, VethPair, whyNoVeth } from '../support/veth.ts'

const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('../support/team-frames.py', import.meta.url))
const skip = whyNoTap() ?? whyNoVeth() ?? false
const GUEST = '02:00:00:00:88:01'
const FRAMES = 1500
const PULLED_AT = 500

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

const memberOf = ({ vmswitch }: World): string =>
  vmswitch.effects.team.status()!.members.find(({ ports }) => ports.includes('guest'))!.name

/** The bridge's port behind which it has learned the guest. */
const learnedBehind = ({ outside }: World): string =>
  /dev (\S+)/.exec(
    run('bridge', '-n', outside.name, 'fdb', 'show', 'br', 'br0')
      .split('\n')
      .find((line) => line.startsWith(GUEST)) ?? '',
  )?.[1] ?? ''

test('a stream goes on over the other member when a cable is pulled, in order, and comes back with the cable', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const it = await world(t)
  const hearing = spawn('ip', ['netns', 'exec', it.outside.name, PYTHON, script, 'hear', 'br0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  hearing.stdout.on('data', (data) => {
    said += String(data)
  })
  const ended = new Promise((resolve) => hearing.on('close', resolve))
  while (!said.startsWith('ready')) await sleep(5)
  const first = memberOf(it)
  const pulled = it.cables.find(({ near }) => near === first)!
  for (let number = 0; number < FRAMES; number++) {
    if (number === PULLED_AT) spawn('ip', ['-n', it.outside.name, 'link', 'set', pulled.far, 'down'])
    assert.ok(it.guest.send(frame(it.bridgeMac, `seq ${number}`)))
    await sleep(1)
  }
  assert.notEqual(memberOf(it), first)
  it.outside.ip('link', 'set', pulled.far, 'up')
  for (let i = 0; i < 3000 && memberOf(it) !== first; i++) await sleep(10)
  assert.equal(memberOf(it), first, 'it is back on its own member')
  for (let i = 0; i < 10; i++) {
    it.guest.send(frame(it.bridgeMac, 'seq end'))
    await sleep(20)
    if (hearing.exitCode !== null) break
  }
  await ended
  const heard = said
    .split('\n')
    .slice(1)
    .filter((line) => /^\d+$/.test(line))
    .map(Number)
  const lost = FRAMES - heard.length
  t.diagnostic(`${lost} of ${FRAMES} frames, sent 1 ms apart, were lost when the cable was pulled`)
  assert.ok(heard.length > PULLED_AT && heard.at(-1) === FRAMES - 1, `${heard.length} frames came`)
  assert.ok(
    heard.every((number, i) => i === 0 || number > heard[i - 1]!),
    'in order, none twice',
  )
  assert.ok(it.events.some((line) => line.startsWith('team-member-inactive') && line.includes(first)))
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
