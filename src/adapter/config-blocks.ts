// The configuration blocks of the backchannel (spec 7.1): what the PF tells a VF, and what a VF asks for. Little-endian.
//
// The rule it must not break: every field of a guest's write is checked, and a bad write changes nothing (PD-16).

import { macKey, macText } from '../switch/mac-table.ts'
import { CONFIG_BLOCK_BYTES_MAX } from './identifiers.ts'
import type { VPortStatistics } from './statistics.ts'

/** Ids of the blocks. The first 64 are for what changes, since only they can be invalidated (SR-295); what never does stands above. */
export const Block = { identity: 0, linkState: 1, receiveMode: 2, statistics: 3, rss: 4, offloads: 5, diagnostics: 64 } as const

export const IDENTITY_BYTES = 24
const IDENTITY_VERSION = 1
export const LINK_BYTES = 8
export const STATISTICS_BYTES = 48
export const ABILITIES_BYTES = 4
export const DIAGNOSTICS_BYTES = 8

/** What block 0 says. */
export interface Identity {
  readonly mac: string
  readonly mtu: number
  readonly linkUp: boolean
  readonly speedMbps: number
  readonly ringSize: number
  readonly queuePairs: number
}

const MAC_AT = 2
const MAC_BYTES = 6

function putMac(view: DataView, at: number, mac: string): void {
  const { low, high } = macKey(mac)
  view.setUint16(at, high, true)
  view.setUint32(at + 2, low >>> 0, true)
}

/** Block 0: version, MAC, MTU, link, speed, ring size, queue pairs. */
export function identityBlock(identity: Identity): Uint8Array {
  const view = new DataView(new ArrayBuffer(IDENTITY_BYTES))
  view.setUint16(0, IDENTITY_VERSION, true)
  putMac(view, MAC_AT, identity.mac)
  view.setUint16(8, identity.mtu, true)
  view.setUint16(10, identity.linkUp ? 1 : 0, true)
  view.setUint32(12, identity.speedMbps, true)
  view.setUint16(16, identity.ringSize, true)
  view.setUint16(18, identity.queuePairs, true)
  return new Uint8Array(view.buffer)
}

/** Block 1: link and speed. */
export function linkBlock(linkUp: boolean, speedMbps: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(LINK_BYTES))
  view.setUint32(0, linkUp ? 1 : 0, true)
  view.setUint32(4, speedMbps, true)
  return new Uint8Array(view.buffer)
}

/** Block 3: frames and bytes received and sent, frames dropped on the way to and from the VF. */
export function statisticsBlock(statistics: VPortStatistics): Uint8Array {
  const { receivedFrames, receivedBytes, sentFrames, sentBytes, receiveDropped, sendDropped } = statistics
  const view = new DataView(new ArrayBuffer(STATISTICS_BYTES))
  const values = [receivedFrames, receivedBytes, sentFrames, sentBytes, receiveDropped, sendDropped]
  for (const [i, value] of values.entries()) view.setBigUint64(i * 8, BigInt(value), true)
  return new Uint8Array(view.buffer)
}

/** Block 64: which VF of the adapter the guest has, and its requester id. */
export function diagnosticsBlock(vfId: number, requestorId: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(DIAGNOSTICS_BYTES))
  view.setUint16(0, IDENTITY_VERSION, true)
  view.setUint16(2, vfId, true)
  view.setUint32(4, requestorId, true)
  return new Uint8Array(view.buffer)
}

/** Blocks 4 and 5: one word of abilities. */
export function abilitiesBlock(abilities: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(ABILITIES_BYTES))
  view.setUint32(0, abilities, true)
  return new Uint8Array(view.buffer)
}

/** What a VF asks to receive. */
export interface ReceiveMode {
  readonly allMulticast: boolean
  readonly promiscuous: boolean
  readonly groups: readonly string[]
}

const MODE_ALL_MULTICAST = 1
const MODE_PROMISCUOUS = 2
const GROUPS_AT = 2

/** Block 2 as a VF writes it. */
export function receiveModeBlock(mode: ReceiveMode): Uint8Array {
  const data = new Uint8Array(GROUPS_AT + mode.groups.length * MAC_BYTES)
  const view = new DataView(data.buffer)
  data[0] = (mode.allMulticast ? MODE_ALL_MULTICAST : 0) | (mode.promiscuous ? MODE_PROMISCUOUS : 0)
  data[1] = mode.groups.length
  for (const [i, group] of mode.groups.entries()) putMac(view, GROUPS_AT + i * MAC_BYTES, group)
  return data
}

/** Reads block 2; undefined if a field of it is wrong: unknown mode bits, a length that does not fit, an address that is no group. */
export function readReceiveMode(data: Uint8Array): ReceiveMode | undefined {
  if (data.length < GROUPS_AT || data.length > CONFIG_BLOCK_BYTES_MAX) return undefined
  const [mode, count] = [data[0]!, data[1]!]
  if ((mode & ~(MODE_ALL_MULTICAST | MODE_PROMISCUOUS)) !== 0) return undefined
  if (data.length !== GROUPS_AT + count * MAC_BYTES) return undefined
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  const groups: string[] = []
  for (let at = GROUPS_AT; at < data.length; at += MAC_BYTES) {
    if ((data[at]! & 1) === 0) return undefined
    groups.push(macText(view.getUint32(at + 2, true) | 0, view.getUint16(at, true)))
  }
  return { allMulticast: (mode & MODE_ALL_MULTICAST) !== 0, promiscuous: (mode & MODE_PROMISCUOUS) !== 0, groups }
}
