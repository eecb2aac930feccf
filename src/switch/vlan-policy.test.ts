// VLANs of all modes against the table of the specification (spec 7.5), written apart from the switch: random ports, random frames, who gets
// what, and with which tag.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness, frame, mac } from '../../test/support/data-path-harness.ts'
import { inVlanRanges, type VlanProperty, type VlanRange } from '../ndis/standard-properties.ts'
import { vlanEntry } from './policies/port-effects.ts'
import { PortFlag } from './port-table.ts'

const LEARNING = PortFlag.learn | PortFlag.unknownUnicast
const UPLINK = 1

interface Port {
  /** Undefined: no property. */
  readonly vlan: VlanProperty | undefined
}
interface Sent {
  readonly from: number
  /** Port whose host it is for; 0: everybody. */
  readonly to: number
  /** VLAN and priority of the tags, outer one first. */
  readonly tags: readonly (readonly [vlan: number, priority: number])[]
}

const ids = [5, 10, 20, 100, 101, 102]
const ranges = fc.subarray(ids, { minLength: 1 }).map((list): VlanRange[] => list.map((vlan) => [vlan, vlan]))
const vlans: fc.Arbitrary<VlanProperty> = fc.oneof(
  fc.constantFrom(...ids).map((accessVlanId): VlanProperty => ({ mode: 'access', accessVlanId })),
  fc
    .tuple(fc.constantFrom(0, ...ids), ranges, fc.oneof(fc.constant([]), ranges))
    .map(
      ([nativeVlanId, trunkVlanIds, pruneVlanIds]): VlanProperty => ({ mode: 'trunk', nativeVlanId, trunkVlanIds, pruneVlanIds }),
    ),
  fc
    .tuple(fc.constantFrom('isolated' as const, 'community' as const), fc.constantFrom(101, 102))
    .map(([pvlanMode, secondaryVlanId]): VlanProperty => ({ mode: 'private', pvlanMode, primaryVlanId: 100, secondaryVlanId })),
  fc.subarray([101, 102]).map(
    (list): VlanProperty => ({
      mode: 'private',
      pvlanMode: 'promiscuous',
      primaryVlanId: 100,
      secondaryVlanIds: list.map((vlan): VlanRange => [vlan, vlan]),
    }),
  ),
)
const scenes = fc.array(fc.option(vlans, { nil: undefined, freq: 5 }), { minLength: 3, maxLength: 6 }).chain((properties) =>
  fc.tuple(
    fc.constant(properties.map((vlan): Port => ({ vlan }))),
    fc.array(
      fc.record({
        from: fc.integer({ min: 1, max: properties.length }),
        to: fc.integer({ min: 0, max: properties.length }),
        tags: fc.array(fc.tuple(fc.constantFrom(0, 5, 10, 20, 30, 100, 101), fc.constantFrom(0, 5)), { maxLength: 2 }),
      }),
      { minLength: 1, maxLength: 30 },
    ),
  ),
)

// ---- the table ----------------------------------------------------------------------------------------------------------

/** The VLAN that a frame of this port belongs to, by its outer tag; undefined: it is refused. */
function sentIn({ vlan }: Port, tags: Sent['tags']): number | undefined {
  const outer = tags[0]?.[0] ?? 0
  if (tags.length === 2 && (outer === 0 || (vlan !== undefined && vlan.mode !== 'trunk'))) return undefined
  if (vlan === undefined) return outer
  if (vlan.mode === 'trunk') {
    const id = outer === 0 ? vlan.nativeVlanId : outer
    const listed = outer === 0 || inVlanRanges(vlan.trunkVlanIds, id)
    return listed && !inVlanRanges(vlan.pruneVlanIds, id) ? id : undefined
  }
  const own =
    vlan.mode === 'access' ? vlan.accessVlanId : vlan.pvlanMode === 'promiscuous' ? vlan.primaryVlanId : vlan.secondaryVlanId
  return outer === 0 || outer === own ? own : undefined
}

function receives({ vlan }: Port, id: number): boolean {
  if (vlan === undefined) return id === 0
  if (vlan.mode === 'access') return id === vlan.accessVlanId
  if (vlan.mode === 'trunk')
    return (id === vlan.nativeVlanId || inVlanRanges(vlan.trunkVlanIds, id)) && !inVlanRanges(vlan.pruneVlanIds, id)
  if (id === vlan.primaryVlanId) return true
  if (vlan.pvlanMode === 'community') return id === vlan.secondaryVlanId
  return vlan.pvlanMode === 'promiscuous' && inVlanRanges(vlan.secondaryVlanIds, id)
}

/** Tags with which port `to` gets the frame, as text; undefined: it does not get it. */
function delivered(ports: readonly Port[], { from, tags }: Sent, to: number, id: number): string | undefined {
  const [sender, receiver] = [ports[from - 1]!, ports[to - 1]!]
  const priority = tags[0]?.[1] ?? 0
  const inner = tags[1]
  // Guests without the property keep their tags among themselves; the uplink without it has those of all others.
  const isGuests = sender.vlan === undefined && from !== UPLINK && id !== 0
  if (receiver.vlan === undefined && id !== 0) {
    if (isGuests === (to === UPLINK)) return undefined
    return [[id, priority] as const, ...(inner ? [inner] : [])].map((tag) => tag.join('/')).join(' ')
  }
  if (isGuests || !receives(receiver, id)) return undefined
  const keeps = receiver.vlan?.mode === 'trunk' && id !== receiver.vlan.nativeVlanId
  if (keeps) return [[id, priority] as const, ...(inner ? [inner] : [])].map((tag) => tag.join('/')).join(' ')
  if (inner !== undefined) return undefined
  // A priority is left as a tag of its own; a frame between two ports without the property stays as it was.
  if (sender.vlan === undefined && receiver.vlan === undefined) return tags.length === 0 ? '' : `0/${priority}`
  return priority === 0 ? '' : `0/${priority}`
}

// ---- the switch ---------------------------------------------------------------------------------------------------------

function bytesOf({ from, to, tags }: Sent): Buffer {
  const plain = frame(to === 0 ? 0xff : to, from)
  const words = tags.flatMap(([vlan, priority]) => [0x81, 0, (priority << 5) | (vlan >> 8), vlan & 0xff])
  return Buffer.concat([plain.subarray(0, 12), Buffer.from(words), plain.subarray(12)])
}

function tagsOf(bytes: Buffer): string {
  const found: string[] = []
  for (let at = 12; bytes.readUInt16BE(at) === 0x8100; at += 4) {
    const tci = bytes.readUInt16BE(at + 2)
    found.push(`${tci & 0xfff}/${tci >> 13}`)
  }
  return found.join(' ')
}

test('who reaches whom, and with which tags, is what the table of VLAN modes says (ES-531…ES-540)', () => {
  let got = 0
  fc.assert(
    fc.property(scenes, fc.boolean(), ([ports, frames], isGuarded) => {
      for (const shortCut of [true, false]) {
        const harness = new DataPathHarness({ shortCut })
        for (const [i, { vlan }] of ports.entries()) {
          const guest = isGuarded ? PortFlag.checkSource : LEARNING
          harness.connectPort(i + 1, i + 1 === UPLINK ? LEARNING | PortFlag.external : guest)
          harness.macs.addStatic(mac(i + 1), 0, i + 1)
          if (vlan !== undefined) harness.ports.setVlan(i + 1, vlanEntry(vlan))
        }
        for (const sent of frames) {
          const { from, to } = sent
          harness.send(from, bytesOf(sent))
          const isPlain = ports.every(({ vlan }) => vlan === undefined) // then tags mean nothing
          const id = isPlain ? 0 : sentIn(ports[from - 1]!, sent.tags)
          for (const port of ports.map((_, i) => i + 1)) {
            const isReceiver = port !== from && (to === 0 || to === port)
            const all = sent.tags.map((tag) => tag.join('/')).join(' ')
            const expected = !isReceiver || id === undefined ? undefined : isPlain ? all : delivered(ports, sent, port, id)
            const seen = harness.sink(port).frames.splice(0).map(tagsOf)
            assert.deepEqual(seen, expected === undefined ? [] : [expected], `port ${port} of ${JSON.stringify(sent)}`)
            got += seen.length
          }
        }
      }
    }),
    { numRuns: 500 },
  )
  assert.ok(got > 500, `${got} frames came out`)
})
