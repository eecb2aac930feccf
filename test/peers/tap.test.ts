// The TAP endpoint against the kernel's own network stack: needs root.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, test } from 'node:test'
import { endpointCompliance } from '../../src/endpoints/compliance.ts'
import { testFrame } from '../../src/endpoints/compliance-frames.ts'
import { TapEndpoint, type TapOptions } from '../../src/endpoints/tap/tap-endpoint.ts'
import { createSwitch } from '../../src/engine/host.ts'
import {
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  VNET_GSO_TCPV4,
  VNET_HEADER,
  VNET_NEEDS_CSUM,
} from '../../src/kernels/layout.ts'
import { interfaceAddress, interfaceIsUp, interfaceMtu } from '../../src/linux/tap.ts'
import { DropReason } from '../../src/ndis/drop-reasons.ts'
import { DataHalf } from '../support/data-half.ts'
import { asNobody, whyNoTap } from '../support/machine.ts'
import { PacketPeer } from '../support/packet-peer.ts'

const skip = whyNoTap()
const name = `vmst${process.pid % 100000}`

const ip = (...args: string[]): void => {
  const run = spawnSync('ip', args, { encoding: 'utf8' })
  assert.equal(run.status, 0, `ip ${args.join(' ')}: ${run.stderr}`)
}

/** Keeps the host's own chatter off the interface. */
const quiet = (): void => writeFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, '1')

endpointCompliance('tap', {
  half: () => new DataHalf(),
  skip,
  create: (components) => new TapEndpoint({ port: 5, name, mtu: 9000 }, components),
  connect() {
    quiet()
    return new PacketPeer(name)
  },
  backpressure: false,
  runts: false,
  refusals: [
    {
      title: 'a name that is too long',
      says: /not an interface name: at most 15 bytes/,
      create: (components) => new TapEndpoint({ port: 1, name: 'a-name-far-too-long' }, components),
    },
    {
      title: 'a name that another kind of interface has',
      says: /exists and is no TAP/,
      create: (components) => new TapEndpoint({ port: 1, name: 'lo' }, components),
    },
  ],
})

async function withTap(
  options: Omit<TapOptions, 'port'>,
  run: (half: DataHalf, control: TapEndpoint) => Promise<void>,
): Promise<void> {
  const half = new DataHalf()
  const control = new TapEndpoint({ port: 5, name, ...options }, { memory: half.memory, events: half.events })
  await control.open()
  control.begin()
  try {
    await run(half, control)
  } finally {
    await control.close()
    half.close()
  }
}

describe('tap endpoint', { skip: skip ?? false }, () => {
  test('the interface comes up with its MTU, is described, and goes with the endpoint', async () => {
    await withTap({ mtu: 1400 }, async (_half, control) => {
      assert.ok(interfaceIsUp(name))
      assert.equal(interfaceMtu(name), 1400)
      assert.equal(control.describe().address, interfaceAddress(name))
      assert.equal(control.describe().interface, name)
    })
    assert.throws(() => interfaceMtu(name), /ENODEV/)
  })

  test('of a switch it comes up when the ports of the configuration stand, and later ones at once', async () => {
    const half = new DataHalf()
    const control = new TapEndpoint({ port: 5, name }, { memory: half.memory, events: half.events })
    await control.open()
    assert.equal(interfaceIsUp(name), false)
    await control.close()
    half.close()
    const tap = (port: string) =>
      ({
        name: port,
        macSpoofing: 'on',
        learning: true,
        link: 'up',
        mac: null,
        endpoint: { kind: 'tap', interface: port, mtu: 1500, queues: 1 },
      }) as const
    const macTable = { entries: 64, ageingSeconds: 0 }
    const config = { name: 's', type: 'private', processors: 1, extensions: [], macTable, directory: tmpdir() } as const
    const running = await createSwitch({ ...config, ports: [tap(name)] }, { log: () => {} })
    try {
      assert.ok(interfaceIsUp(name))
      await running.addPort(tap(`${name}b`))
      assert.ok(interfaceIsUp(`${name}b`))
    } finally {
      await running.close()
    }
  })

  test('with up: false the interface stays down', () =>
    withTap({ up: false }, async () => assert.equal(interfaceIsUp(name), false)))

  test('a TAP that somebody holds is refused with a remedy', () =>
    withTap({}, async (half) => {
      const second = new TapEndpoint({ port: 6, name }, { memory: half.memory, events: half.events })
      await assert.rejects(second.open(), /EBUSY.*another process holds this TAP/)
    }))

  test('a user without the capability is told how to create one', async () => {
    const half = new DataHalf()
    const control = new TapEndpoint({ port: 6, name }, { memory: half.memory, events: half.events })
    await asNobody(() => assert.rejects(control.open(), /EPERM.*CAP_NET_ADMIN.*ip tuntap add dev/))
    half.close()
  })

  test('without a name the kernel chooses one', () =>
    withTap({ name: '' }, async (_half, control) => assert.match(String(control.describe().interface), /^tap\d+$/)))

  test('several queues all carry frames to the host', () =>
    withTap({ queues: 3 }, async (half) => {
      quiet()
      assert.equal(half.queues.length, 3)
      const peer = new PacketPeer(name)
      for (let i = 0; i < 3; i++) {
        const frame = testFrame(100 + i, i)
        assert.equal(half.deliver([frame], {}, i), 1)
        await half.until(() => true, '')
        assert.ok(Buffer.from(peer.receive()!).equals(frame))
      }
      peer.vanish()
    }))

  test('an interface set down refuses frames as link down and works again when set up', () =>
    withTap({}, async (half) => {
      ip('link', 'set', name, 'down')
      assert.equal(half.deliver([testFrame(60, 1)]), 0)
      assert.equal(half.queue().refusal, DropReason.linkDown)
      assert.deepEqual(half.told, [])
      ip('link', 'set', name, 'up')
      assert.equal(half.deliver([testFrame(60, 1)]), 1)
    }))

  test('an interface removed while running ends the link with an event and wakes the sleeper; the port opens anew', () =>
    withTap({}, async (half, control) => {
      quiet()
      while (half.take() > 0);
      half.queue().arm(half.epoll)
      ip('link', 'delete', name)
      assert.equal(half.epoll.wait(5000), 1)
      half.take()
      await half.until(() => !half.linkUp, 'the end of the link')
      assert.deepEqual(
        half.told.map(({ code }) => code),
        ['interface-removed'],
      )
      assert.equal(half.plans.length, 0)
      await control.close()
      await control.open()
      control.begin()
      quiet()
      const peer = new PacketPeer(name)
      assert.equal(half.deliver([testFrame(60, 1)]), 1)
      assert.ok(peer.receive())
      peer.vanish()
    }))

  test('the kernel hands over TCP segments uncut with their checksum undone, and takes them back so', () =>
    withTap({}, async (half) => {
      quiet()
      ip('addr', 'add', '198.51.100.1/24', 'dev', name)
      const offloads = half.queue().offloads
      assert.ok((offloads & OFFLOAD_CHECKSUM) !== 0 && (offloads & OFFLOAD_TSO4) !== 0 && (offloads & OFFLOAD_TSO6) !== 0)
      // A SYN of the host's own stack leaves its checksum to the device …
      ip('neigh', 'add', '198.51.100.2', 'lladdr', '02:00:00:00:00:02', 'dev', name)
      const { connect } = await import('node:net')
      const socket = connect({ host: '198.51.100.2', port: 80 })
      socket.on('error', () => {})
      const isSyn = (): boolean => half.inbox.some(({ bytes }) => bytes.readUInt16BE(12) === 0x0800 && bytes[23] === 6)
      await half.until(isSyn, 'the SYN')
      socket.destroy()
      const syn = half.inbox.find(({ bytes }) => bytes.readUInt16BE(12) === 0x0800)!
      assert.equal(syn.needs, OFFLOAD_CHECKSUM)
      assert.equal(syn.vnet[0]! & VNET_NEEDS_CSUM, VNET_NEEDS_CSUM)
      assert.equal(syn.vnet.readUInt16LE(6), 34)
      assert.equal(syn.vnet.readUInt16LE(8), 16)
      // … and the kernel takes a frame that it has to cut itself.
      const big = testFrame(14 + 20 + 20 + 20_000, 1)
      big.writeUInt16BE(0x0800, 12)
      big.set([0x45, 0, (40 + 20_000) >> 8, (40 + 20_000) & 0xff, 0, 1, 0, 0, 64, 6, 0, 0, 198, 51, 100, 2, 198, 51, 100, 1], 14)
      big.set([0, 80, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0], 34)
      const vnet = Buffer.alloc(VNET_HEADER)
      vnet.set([VNET_NEEDS_CSUM, VNET_GSO_TCPV4])
      vnet.writeUInt16LE(54, 2)
      vnet.writeUInt16LE(1448, 4)
      vnet.writeUInt16LE(34, 6)
      vnet.writeUInt16LE(16, 8)
      assert.equal(half.deliver([big], { vnet, segments: 5 }), 1)
      // A header that makes no sense is refused by the kernel; the frame after it passes.
      vnet.writeUInt16LE(60_000, 6)
      assert.equal(half.deliver([big], { vnet }), 0)
      assert.equal(half.queue().refusal, DropReason.badOffload)
      assert.equal(half.deliver([testFrame(60, 1)]), 1)
    }))
})
