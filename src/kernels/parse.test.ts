// What the kernels read out of a header, by vectors: through parse on a placed frame, in every engine.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { type FrameOptions, frame, pattern } from './frames.ts'
import * as L from './layout.ts'
import { engines, Scene } from './testing.ts'

const wasm = readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url))

interface Expected {
  readonly flags?: number
  readonly etherType?: number
  readonly vlan?: number
  readonly l3?: number
  readonly l4?: number
  readonly protocol?: number
  readonly ports?: readonly [number, number]
}

const payload = pattern(64)
const hop = Uint8Array.of(17, 0, 0, 0, 0, 0, 0, 0)
const fragmentHeader = (next: number, offset: number): Uint8Array => Uint8Array.of(next, 0, offset >> 8, offset, 0, 0, 0, 1)

const vectors: readonly (readonly [name: string, options: FrameOptions, expected: Expected])[] = [
  ['UDP over IPv4', { payload }, { flags: L.PF_IPV4, etherType: 0x0800, l3: 14, l4: 34, protocol: 17, ports: [1234, 80] }],
  [
    'TCP over IPv6',
    { payload, ip: 6, protocol: 6 },
    { flags: L.PF_IPV6, etherType: 0x86dd, l3: 14, l4: 54, protocol: 6, ports: [1234, 80] },
  ],
  ['SCTP', { payload, protocol: 132 }, { flags: L.PF_IPV4, l4: 34, protocol: 132, ports: [1234, 80] }],
  ['ICMP has no ports', { payload, protocol: 1 }, { flags: L.PF_IPV4, l4: 34, protocol: 1 }],
  [
    'a broadcast',
    { payload, destination: [255, 255, 255, 255, 255, 255] },
    { flags: L.PF_IPV4 | L.PF_BROADCAST | L.PF_MULTICAST, l4: 34, protocol: 17, ports: [1234, 80] },
  ],
  [
    'a multicast',
    { payload, destination: [1, 0, 94, 0, 0, 1] },
    { flags: L.PF_IPV4 | L.PF_MULTICAST, l4: 34, protocol: 17, ports: [1234, 80] },
  ],
  [
    'one tag',
    { payload, tags: [[0x8100, 0x6005]] },
    { flags: L.PF_IPV4 | L.PF_TAGGED, etherType: 0x0800, vlan: 0x6005, l3: 18, l4: 38, protocol: 17, ports: [1234, 80] },
  ],
  [
    'two tags',
    {
      payload,
      tags: [
        [0x88a8, 7],
        [0x8100, 5],
      ],
    },
    { flags: L.PF_IPV4 | L.PF_TAGGED, etherType: 0x0800, vlan: 7, l3: 22, l4: 42, protocol: 17, ports: [1234, 80] },
  ],
  [
    'a third tag is not followed',
    {
      payload,
      tags: [
        [0x9100, 7],
        [0x8100, 5],
        [0x8100, 6],
      ],
    },
    { flags: L.PF_TAGGED, etherType: 0x8100, vlan: 7, l3: 22 },
  ],
  ['IPv4 options', { payload, extra: new Uint8Array(12) }, { flags: L.PF_IPV4, l4: 46, protocol: 17, ports: [1234, 80] }],
  [
    'the first fragment has ports',
    { payload, fragment: 0x2000 },
    { flags: L.PF_IPV4 | L.PF_FRAGMENT, l4: 34, protocol: 17, ports: [1234, 80] },
  ],
  ['a later fragment has none', { payload, fragment: 0x0010 }, { flags: L.PF_IPV4 | L.PF_FRAGMENT, protocol: 17 }],
  [
    'a frame that must not be fragmented is no fragment',
    { payload, fragment: 0x4000 },
    { flags: L.PF_IPV4, l4: 34, protocol: 17, ports: [1234, 80] },
  ],
  [
    'IPv6 hop-by-hop options',
    { payload, ip: 6, extra: hop, next: 0 },
    { flags: L.PF_IPV6, etherType: 0x86dd, l4: 62, protocol: 17, ports: [1234, 80] },
  ],
  [
    'IPv6 destination options and routing',
    { payload, ip: 6, extra: Uint8Array.of(43, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0), next: 60 },
    { flags: L.PF_IPV6, etherType: 0x86dd, l4: 70, protocol: 17, ports: [1234, 80] },
  ],
  [
    'the first IPv6 fragment',
    { payload, ip: 6, extra: fragmentHeader(17, 1), next: 44 },
    { flags: L.PF_IPV6 | L.PF_FRAGMENT, etherType: 0x86dd, l4: 62, protocol: 17, ports: [1234, 80] },
  ],
  [
    'a later IPv6 fragment',
    { payload, ip: 6, extra: fragmentHeader(17, 0x10), next: 44 },
    { flags: L.PF_IPV6 | L.PF_FRAGMENT, etherType: 0x86dd, protocol: 17 },
  ],
  [
    'an authentication header',
    { payload, ip: 6, extra: Uint8Array.of(17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), next: 51 },
    { flags: L.PF_IPV6, etherType: 0x86dd, l4: 66, protocol: 17, ports: [1234, 80] },
  ],
  [
    'IPv6 headers that reach beyond the copy',
    { payload: pattern(300), ip: 6, extra: Uint8Array.of(17, 12, ...new Uint8Array(102)), next: 60 },
    { flags: L.PF_IPV6, etherType: 0x86dd, protocol: 17 },
  ],
  [
    'IPv6 extension headers without end',
    { payload: new Uint8Array(300), ip: 6, protocol: 0, extra: new Uint8Array(72), next: 0 },
    { flags: L.PF_IPV6, etherType: 0x86dd, protocol: 0 },
  ],
]

for (const engine of engines)
  describe(`parse, ${engine}`, () => {
    const expectSlot = (scene: Scene, slot: number, expected: Expected): void => {
      assert.deepEqual(
        {
          flags: scene.u32Of(L.P_FLAGS, slot),
          etherType: scene.u16Of(L.P_ETHER_TYPE, slot),
          vlan: scene.u16Of(L.P_VLAN, slot),
          l3: scene.u8Of(L.P_L3, slot),
          l4: scene.u8Of(L.P_L4, slot),
          protocol: scene.u8Of(L.P_PROTOCOL, slot),
          ports: [scene.u16Of(L.P_SOURCE_L4, slot), scene.u16Of(L.P_DESTINATION_L4, slot)],
        },
        { flags: 0, etherType: 0x0800, vlan: 0, l3: 14, l4: 0, protocol: 0, ports: [0, 0], ...expected },
      )
    }

    for (const [name, options, expected] of vectors)
      test(name, () => {
        const scene = new Scene(engine, wasm)
        // At even and odd places, with something else in the slot before.
        for (const offset of [128, 126, 127, 0]) {
          scene.place(2, frame({ payload, ip: 6, tags: [[0x8100, 9]], destination: [255, 255, 255, 255, 255, 255] }))
          scene.place(2, frame(options), offset)
          expectSlot(scene, 2, expected)
        }
      })

    test('nothing is read beyond the header copy', () => {
      const scene = new Scene(engine, wasm)
      const bytes = frame({ payload, tags: [[0x8100, 5]] })
      const at = (length: number): Expected => {
        scene.place(1, bytes) // what lies beyond is a plausible frame
        scene.place(1, bytes.subarray(0, length))
        return {}
      }
      at(13)
      expectSlot(scene, 1, { etherType: 0, l3: 0 })
      at(17)
      expectSlot(scene, 1, { etherType: 0x8100 })
      at(18)
      expectSlot(scene, 1, { flags: L.PF_TAGGED, vlan: 5, l3: 18 })
      at(37)
      expectSlot(scene, 1, { flags: L.PF_TAGGED, vlan: 5, l3: 18 })
      at(41)
      expectSlot(scene, 1, { flags: L.PF_TAGGED | L.PF_IPV4, vlan: 5, l3: 18, protocol: 17 })
      at(42)
      expectSlot(scene, 1, { flags: L.PF_TAGGED | L.PF_IPV4, vlan: 5, l3: 18, l4: 38, protocol: 17, ports: [1234, 80] })
    })

    test('an IP header of the wrong version or length is no IP', () => {
      const scene = new Scene(engine, wasm)
      for (const first of [0x44, 0x65, 0x05]) {
        const bytes = frame({ payload })
        bytes[14] = first
        scene.place(1, bytes)
        expectSlot(scene, 1, {})
      }
    })

    test('other flags of the slot stay', () => {
      const scene = new Scene(engine, wasm)
      scene.place(1, frame({ payload }))
      scene.view.setUint32(scene.pool + L.P_FLAGS + 4, L.PF_OWNED | L.PF_BROADCAST | L.PF_IPV6, true)
      scene.kernels.parse(scene.pool, 1, 1)
      assert.equal(scene.u32Of(L.P_FLAGS, 1), L.PF_OWNED | L.PF_IPV4)
    })
  })
