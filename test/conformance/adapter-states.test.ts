// What extensions may do with a connection that is not connected yet, or not any more: requests, indications, packets, references.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { MemoryEndpoint } from '../../src/endpoints/memory/memory-endpoint.ts'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import { NicState, Oid, PortState } from '../../src/ndis/oids.ts'
import { EtherType } from '../../src/packet/ethernet.ts'
import { PortFlag } from '../../src/switch/port-table.ts'
import { frame as rawFrame } from '../support/data-path-harness.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { ControlUnderTest, memory, script } from './control-under-test.ts'
import type { Command } from './extensions/script.ts'
import { capturing, directTo, filtering, stackOf } from './handlers.ts'
import { frame, portConfig, SwitchUnderTest, textOf, use } from './switch-under-test.ts'

const VENDOR = 0xff123456
const MEDIA = 0x4001000b
// A request of an extension's own to adapter 1 of the external port 2, and a status from that port.
const request: Command = {
  do: 'request',
  request: {
    oid: Oid.nicRequest,
    type: 'method',
    payload: {
      sourcePortId: 0,
      sourceNicIndex: 0,
      destinationPortId: 2,
      destinationNicIndex: 1,
      oidRequest: { oid: VENDOR, type: 'query', payload: null },
    },
  },
}
const indicate: Command = {
  do: 'indicate',
  indication: {
    sourcePortId: 2,
    sourceNicIndex: 0,
    destinationPortId: 0,
    destinationNicIndex: 0,
    statusIndication: { statusCode: MEDIA, statusBuffer: 'up' },
  },
}
const waitingHost = () => ({ kind: 'stream', path: join(temporaryDirectory(), 'peer.sock'), mode: 'server' }) as const
const forwarder = (name: string, file: string): ExtensionEntry => ({
  name,
  file: fileURLToPath(new URL(`../../${file}`, import.meta.url)),
  enabled: true,
  onFailure: 'closed',
  options: {},
})

/** Port 1 and the external port 2; what arrives at its adapters, and at the drivers above. */
async function external(t: TestContext, extensions: readonly ExtensionEntry[], connected = true) {
  const requests: string[] = []
  const statuses: string[] = []
  const cut = await ControlUnderTest.start(t, {
    extensions,
    edge: {
      adapterRequest: (port, nic) => {
        requests.push(`${port}/${nic}`)
        return { status: 0 }
      },
      statusIndicated: ({ statusBuffer }) => statuses.push(String(statusBuffer)),
    },
  })
  const endpoint = connected ? memory : waitingHost()
  await cut.sut.switch.addPort(portConfig(2, { name: 'up', mac: null, learning: true, adapters: [], endpoint }))
  if (connected) await cut.sut.until(() => cut.oids('X1', 'up').includes('NIC_CONNECT 1'), 'the adapter')
  return { cut, requests, statuses }
}

test('between NIC_CREATE and NIC_CONNECT an extension sends no request to the adapter and no status from it (ES-175, ES-176, ES-177)', async (t) => {
  const { cut, requests, statuses } = await external(t, [script('F1'), script('X1')], false)
  await cut.tell('X1', { do: 'referenceNic', port: 2, nic: 1 }, { do: 'referenceNic', port: 2 }, request, indicate)
  const answers = (await cut.lines('X1', 'request')).filter((line) => /^(reference|request|indicate)/.test(line))
  assert.deepEqual(
    answers.map((line) => line.split(' ').slice(0, 2).join(' ')),
    ['referenceNic c0000001', 'referenceNic c0000001', 'indicate c0000001', 'request c0000001'],
  )
  assert.deepEqual(cut.breaches('X1'), ['ES-175', 'ES-176'])
  assert.deepEqual([requests, statuses], [[], []])
  assert.ok(!cut.sut.log.some(({ source, message }) => source === 'extension F1' && message.startsWith('status')))
})

test('after NIC_DISCONNECT an extension that took no reference sends no request and no status any more (ES-201, ES-202)', async (t) => {
  const { cut, requests, statuses } = await external(t, [
    script('F1'),
    script('X1', { on: { 'NIC_DISCONNECT.done': [request, indicate] } }),
  ])
  await cut.sut.switch.removePort('up')
  // First adapter 1 goes, while the connection above it is still there and wants a reference; then the connection itself.
  assert.deepEqual(cut.breaches('X1'), ['ES-201', 'ES-291', 'ES-272', 'ES-202'])
  assert.deepEqual([requests, statuses], [[], []])
})

test('a reference taken before NIC_DISCONNECT is good for requests and statuses after it, and holds NIC_DELETE back until it is released (ES-216, ES-217, ES-220)', async (t) => {
  const { cut, requests, statuses } = await external(t, [
    script('F1'),
    script('X1', { on: { 'NIC_DISCONNECT.done': [request, indicate] } }),
  ])
  await cut.tell('X1', { do: 'referenceNic', port: 2, nic: 1 }, { do: 'referenceNic', port: 2 })
  const removing = cut.sut.switch.removePort('up')
  await cut.sut.until(() => requests.length === 1 && statuses.length === 1, 'the request and the status')
  await sleep(50)
  assert.ok(!cut.oids('F1', 'up').includes('NIC_DELETE 1'))
  await cut.tell('X1', { do: 'dereferenceNic', port: 2, nic: 1 })
  await cut.sut.until(() => statuses.length === 2, 'the status while the connection goes')
  assert.ok(!cut.oids('F1', 'up').includes('NIC_DELETE 0'))
  await cut.tell('X1', { do: 'dereferenceNic', port: 2 })
  await removing
  assert.deepEqual([requests, statuses], [['2/1'], ['up', 'up']])
  assert.deepEqual(cut.breaches('X1'), ['ES-272'], 'the request to the adapter that is gone')
  assert.deepEqual(cut.oids('F1', 'up').slice(-4), ['NIC_DISCONNECT 0', 'NIC_DELETE 0', 'PORT_TEARDOWN', 'PORT_DELETE'])
})

test('a reference that is never released is taken away after the limit, and its module reported (ES-216, ES-219)', async (t) => {
  const cut = await ControlUnderTest.start(t, { ports: 2, limits: { drainMs: 200 }, extensions: [script('F1')] })
  await cut.tell('F1', { do: 'referenceNic', port: 2 })
  await cut.line('F1', 'referenceNic 0')
  cut.sut.unplug(2)
  await cut.sut.switch.removePort('p2')
  assert.deepEqual(cut.breaches('F1'), ['ES-219'])
})

test('packets need no reference: the switch counts them, and NIC_DELETE waits for one that a module holds (ES-208, ES-218)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'above', class: 'filtering', oids: true }),
      use({ name: 'H', class: 'filtering', ingress: 'hold', delayMs: 60_000 }),
    ],
  })
  const saw = (oid: string): boolean =>
    sut.log.some(({ source, message }) => source.endsWith('above') && message === `oid ${oid} p2`)
  await sut.send(2, 1, 'late')
  await sut.until(() => sut.switch.processors()[0]!.counters.held === 1, 'the packet to be held')
  sut.unplug(2)
  const removing = sut.switch.removePort('p2')
  await sut.until(() => saw('NIC_DISCONNECT'), 'NIC_DISCONNECT')
  await sleep(50)
  assert.ok(!saw('NIC_DELETE'))
  await sut.switch.setExtension('H', false)
  await removing
  assert.ok(saw('NIC_DELETE'))
  assert.deepEqual(await sut.receive(1, 1), ['late'])
})

test('in checking mode a reference taken for packets is a breach (ES-218)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    verify: true,
    extensions: [use({ name: 'R', class: 'filtering', ingress: 'reference' })],
  })
  await sut.send(1, 2, 'x')
  assert.deepEqual(await sut.receive(2, 1), ['x'])
  await sut.heard(({ source, code }) => source === 'extension R' && code === 'ES-218', 'the report')
})

test('what was on its way before NIC_DISCONNECT goes on after it, unchanged, through the modules below (ES-203)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'H', class: 'filtering', ingress: 'hold', delayMs: 60_000 }),
      use({ name: 'below', class: 'filtering', trace: true, oids: true }),
    ],
  })
  await sut.send(2, 1, 'before')
  await sut.until(() => sut.switch.processors()[0]!.counters.held === 1, 'the packet to be held')
  sut.unplug(2)
  await sut.switch.endpoint('p2').close()
  await sut.heard(({ message }) => message === 'oid NIC_DISCONNECT p2', 'NIC_DISCONNECT')
  sut.said()
  await sut.switch.setExtension('H', false)
  assert.deepEqual(await sut.receive(1, 1), ['before'])
  assert.deepEqual(
    sut.said().filter((line) => line.includes('gress')),
    ['below: ingress b from 2/0 to []', 'below: egress b from 2/0 to [1]'],
  )
  assert.equal((await sut.extension('below')).breaches, 0)
})

test('a forwarding extension that delays NIC_DISCONNECT releases the port reference of that time before it forwards it (ES-204, ES-205)', async (t) => {
  const delayed = { replies: { NIC_DISCONNECT: { pending: true } }, answerAfterMs: 50 } as const
  const take: Command = { do: 'referencePort', port: 2 }
  const give: Command = { do: 'dereferencePort', port: 2 }
  for (const [commands, breaches] of [
    [[take, give], []],
    [[take], ['ES-205']],
  ] as const) {
    const cut = await ControlUnderTest.start(t, {
      ports: 2,
      extensions: [script('C1'), script('X1', { ...delayed, on: { NIC_DISCONNECT: commands, 'NIC_DISCONNECT.done': [give] } })],
    })
    cut.sut.unplug(2)
    await cut.sut.switch.removePort('p2')
    // ES-142: the release afterwards is one too many for the module that released in time.
    assert.deepEqual(
      cut.breaches('X1').filter((rule) => rule !== 'ES-142'),
      breaches,
    )
    assert.deepEqual(cut.oids('C1', 'p2').slice(-4), ['NIC_DISCONNECT 0', 'NIC_DELETE 0', 'PORT_TEARDOWN', 'PORT_DELETE'])
  }
})

for (const processors of [1, 2])
  test(`from NIC_DISCONNECT on no packet gets the connection as a destination, while a module still has the request, on any processor (ES-199, ES-206) (${processors} processors)`, async (t) => {
    const x1 = script('X1', { to: [2], replies: { NIC_DISCONNECT: { pending: true } }, answerAfterMs: 300 })
    const sut = await SwitchUnderTest.start(t, { ports: 3, processors, extensions: [x1] })
    await sut.send(1, 2, 'connected')
    await sut.send(3, 2, 'connected too')
    assert.deepEqual((await sut.receive(2, 2)).sort(), ['connected', 'connected too'])
    sut.unplug(2)
    const closing = sut.switch.endpoint('p2').close()
    await sut.heard(({ message }) => message === 'oid NIC_DISCONNECT p2/0', 'NIC_DISCONNECT')
    await sut.send(1, 2, 'too late')
    await sut.send(3, 2, 'too late')
    for (const port of [1, 3]) await sut.until(() => sut.drops(port)['no-destination'] === 1, 'the drop')
    assert.ok(!sut.log.some(({ message }) => message.startsWith('done NIC_DISCONNECT')), 'X1 still has it')
    await closing
    await sut.switch.endpoint('p2').open()
    await sut.until(() => sut.switch.ports()[1]!.connected, 'the connection')
    await sut.send(1, 2, 'again')
    assert.deepEqual(await sut.receive(2, 1), ['again'])
  })

for (const processors of [1, 2])
  test(`a forwarding extension keeps up with connections that come and go under traffic (ES-206, ES-320) (${processors} processors)`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      ports: 3,
      processors,
      verify: true,
      extensions: [forwarder('forward', 'src/extensions/learning-forward/index.ts')],
    })
    let running = true
    const sender = (async () => {
      for (let n = 0; running; n++) {
        sut.peer(1).send(frame(0, 1, `n${n}`))
        await sleep(0)
      }
    })()
    for (let round = 0; round < 6; round++) {
      await sut.switch.endpoint('p2').close()
      await sleep(5)
      await sut.switch.endpoint('p2').open()
      await sut.until(() => sut.switch.ports()[1]!.connected, 'the connection')
    }
    running = false
    await sender
    sut.take(3)
    await sut.send(1, 0, 'last')
    assert.ok((await sut.receive(3, 1, false)).includes('last'))
    const { breaches, state } = await sut.extension('forward')
    assert.deepEqual([breaches, state], [0, 'running'])
  })

test('each physical adapter has its own state: one that goes leaves the others, and an extension uses those (ES-157, ES-162, ES-324)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('F1'), forwarder('forward', 'src/extensions/learning-forward/index.ts')],
  })
  const { sut } = cut
  await sut.switch.addPort(portConfig(2, { name: 'up', mac: null, learning: true, adapters: [memory] }))
  await sut.until(() => cut.oids('F1', 'up').includes('NIC_CONNECT 2'), 'both adapters')
  const peerOf = (adapter: number) => {
    const endpoint = sut.switch.endpoint('up', adapter)
    assert.ok(endpoint instanceof MemoryEndpoint)
    return endpoint.peer()
  }
  const next = async (peer: ReturnType<typeof peerOf>): Promise<string> => {
    const got: string[] = []
    await sut.until(() => {
      const bytes = peer.receive()
      // What is not an announcement of the team: where addresses are now, told as members come and go.
      if (bytes && Buffer.from(bytes).readUInt16BE(12) !== EtherType.rarp) got.push(textOf(bytes))
      return got.length > 0
    }, 'a frame')
    return got[0]!
  }
  const answers = (): string[] =>
    sut.log
      .filter(({ source, message }) => source === 'extension F1' && message.startsWith('referenceNic'))
      .map(({ message }) => message)
  const references = async (): Promise<string[]> => {
    const before = answers().length
    await cut.tell(
      'F1',
      ...[1, 2].flatMap((nic): Command[] => [
        { do: 'referenceNic', port: 2, nic },
        { do: 'dereferenceNic', port: 2, nic },
      ]),
    )
    await sut.until(() => answers().length === before + 2, 'two answers')
    return answers().slice(before)
  }
  const [one, two] = [peerOf(1), peerOf(2)]
  await sut.send(1, 0, 'a')
  assert.equal(await next(one), 'a')
  assert.deepEqual(await references(), ['referenceNic 0', 'referenceNic 0'])
  one.close()
  await sut.switch.endpoint('up', 1).close()
  await sut.until(() => cut.oids('F1', 'up').includes('NIC_DISCONNECT 1'), 'adapter 1 to go')
  assert.ok(!cut.oids('F1', 'up').includes('NIC_DISCONNECT 2'))
  assert.deepEqual(await references(), ['referenceNic c0000001', 'referenceNic 0'])
  await sut.send(1, 0, 'b')
  assert.equal(await next(two), 'b')
  await sut.switch.endpoint('up', 1).open()
  await sut.until(() => cut.oids('F1', 'up').filter((oid) => oid === 'NIC_CONNECT 1').length === 2, 'adapter 1 to come back')
  assert.deepEqual(await references(), ['referenceNic 0', 'referenceNic 0'])
  two.close()
})

test('CS-21 a packet of a connection that is not connected yet passes all extensions, and none can be sent to it (ES-174, ES-177, ES-178, ES-240)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'C', class: 'capturing', trace: true }),
      use({ name: 'F', class: 'filtering', trace: true }),
      script('X1', {
        to: [3, 2],
        replies: { NIC_CONNECT: { pending: true, for: 'p3' } },
        answerAfterMs: 1500,
        on: { NIC_CONNECT: [{ do: 'referenceNic', port: 3 }] },
      }),
    ],
  })
  const adding = sut.switch.addPort(portConfig(3))
  await sut.heard(({ message }) => message === 'oid NIC_CONNECT p3/0', 'NIC_CONNECT, which X1 keeps')
  await adding
  assert.equal(sut.switch.ports()[2]!.connected, false)
  assert.ok(sut.log.some(({ message }) => message === 'referenceNic c0000001'))
  sut.said()
  await sut.send(3, 2, 'early')
  assert.deepEqual(await sut.receive(2, 1), ['early'])
  assert.deepEqual(
    sut.said().filter((line) => line.includes('gress')),
    ['C: ingress e from 3/0 to []', 'F: ingress e from 3/0 to []', 'F: egress e from 3/0 to [2]', 'C: egress e from 3/0 to [2]'],
    'port 3 is no destination yet',
  )
  await sut.until(() => sut.switch.ports()[2]!.connected, 'the connection')
  assert.deepEqual(sut.take(3), [])
})

for (const [name, file] of [
  ['learning-forward', 'src/extensions/learning-forward/index.ts'],
  ['policy-forward', 'examples/extensions/policy-forward/index.ts'],
] as const)
  test(`CS-21 the forwarding extension ${name} passes packets of a connection that is not connected yet, and sends it none (ES-174, ES-178)`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      verify: true,
      extensions: [
        script('F1', { replies: { NIC_CONNECT: { pending: true, for: 'p3' } }, answerAfterMs: 1500 }),
        forwarder(name, file),
      ],
    })
    await sut.switch.addPort(portConfig(3))
    await sut.heard(({ message }) => message === 'oid NIC_CONNECT p3/0', 'NIC_CONNECT, which F1 keeps')
    await sut.send(3, 0, 'early')
    assert.deepEqual(await sut.receive(2, 1), ['early'])
    await sut.send(2, 0, 'to all')
    assert.ok((await sut.receive(1, 2)).includes('to all'))
    assert.deepEqual(sut.take(3), [])
    await sut.until(() => sut.switch.ports()[2]!.connected, 'the connection')
    await sut.send(2, 0, 'now')
    assert.deepEqual(await sut.receive(3, 1), ['now'])
    assert.equal((await sut.extension(name)).breaches, 0)
  })

test('what an extension makes itself reaches no connection that is only created (ES-174)', () => {
  for (const shortCut of [true, false]) {
    const { harness, handles } = stackOf(3, [capturing({}), filtering({})], shortCut)
    harness.ports.set(3, {
      portState: PortState.created,
      nicState: NicState.created,
      flags: PortFlag.checkSource,
      mac: '02:00:00:00:00:03',
      vlan: 0,
    })
    const sw = handles[1]!
    assert.equal(sw.send(sw.originate(rawFrame(3, 9, 'to it'))), 0)
    assert.equal(sw.send(sw.originate(rawFrame(0xff, 9, 'to all'))), 0)
    const as3 = sw.originate(rawFrame(2, 3, 'as it'))
    assert.notEqual(sw.setSource(as3, 3), 0)
    sw.release(as3)
    harness.dataPath.flushInjections()
    assert.deepEqual([harness.got(2), harness.got(3)], [['to all'], []])
    harness.send(3, rawFrame(2, 3, 'its own'))
    assert.deepEqual(harness.got(2), ['to all', 'its own'])
  }
})

test('a filtering or capturing extension cannot redirect a packet from one connection to another; a forwarding one decides alone (ES-190)', () => {
  for (const make of [filtering, capturing]) {
    const { harness, broken } = stackOf(3, [
      make({
        ingress: (batch) => void batch.addDestination(0, 3),
        egress(batch, sw) {
          batch.addDestination(0, 3)
          const clone = batch.clone(0)
          if (clone === 0) return
          assert.equal(sw.addDestination(clone, 3), false)
          sw.release(clone)
        },
      }),
    ])
    harness.send(1, rawFrame(2, 1, 'x'))
    assert.deepEqual([harness.got(2), harness.got(3)], [['x'], []])
    assert.ok(broken().length > 0)
  }
  const { harness } = stackOf(3, [directTo(3)])
  harness.send(1, rawFrame(2, 1, 'x'))
  assert.deepEqual([harness.got(2), harness.got(3)], [[], ['x']])
})
