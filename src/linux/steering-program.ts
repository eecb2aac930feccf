// The programs that choose a queue for each frame of an interface, in the kernel: by destination address and VLAN in a hash map, spread
// by flow where the entry says so. One text serves AF_PACKET's fanout (a socket filter, which answers with the index of a socket) and XDP
// (which hands the frame to the AF_XDP socket of the queue).
//
// The rule it must not break: the maps decide everything, so steering changes without a program being loaded or taken off; a frame that
// can't be read goes to the default queues, like one that nobody asked for.
import { Assembler, of, Register } from './bpf-assembler.ts'

const { r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, stack } = Register

/** Bytes of a key: a hardware address, then the VLAN as a 16-bit number, low byte first. */
export const STEER_KEY_BYTES = 8
/** In a key in place of a VLAN: whatever the VLAN is. */
export const STEER_ANY_VLAN = 0xffff
/** Queues that an entry spreads flows over; a flow's bucket is its hash modulo this. */
export const STEER_BUCKETS = 128
/** A value: a word that is not 0 if flows are spread, then a queue per bucket. */
export const STEER_SPREAD = 0
export const STEER_QUEUES = 4
export const STEER_VALUE_BYTES = STEER_QUEUES + STEER_BUCKETS

const MAP_LOOKUP = 1
const REDIRECT_MAP = 51
const SKB_LOAD_BYTES_RELATIVE = 68
const XDP_LOAD_BYTES = 189
const FROM_MAC_HEADER = 0
const XDP_PASS = 2
// The contexts: struct __sk_buff and struct xdp_md.
const SKB_VLAN_PRESENT = 20
const SKB_VLAN_TCI = 24
const XDP_RX_QUEUE = 16
// Frames, and what stands in them in the order of this machine's bytes.
const ETHERNET = 14
const TAG = 4
const VLAN_MASK = 0xfff
const TAG_TYPES = [0x0081, 0xa888, 0x0091] // 8100, 88a8, 9100
const TYPE_IPV4 = 0x0008
const TYPE_IPV6 = 0xdd86
const FRAGMENT_BITS = 0xff3f // more fragments, or an offset
const WITH_PORTS = [6, 17, 132] // TCP, UDP, SCTP
const IPV4_HEADER = 20
const IPV6_HEADER = 40
// Places on the program's stack.
const KEY = -8
const DEFAULT_KEY = -16
const FRAME = -40
const NETWORK = -80
const PORTS = -84
const MIX = [0x9e3779b1, 0x85ebca6b, 0xc2b2ae35] as const

/** Descriptors of the maps that a program asks. */
export interface SteeringMaps {
  readonly rules: number
  readonly fallback: number
}

type Carrier = { readonly kind: 'fanout' } | { readonly kind: 'xdp'; readonly sockets: number; readonly queues: number }

// Loads `bytes` at `offset` of the frame to the stack; goes to `short` where the frame ends before that.
function loadFrame(
  program: Assembler,
  kind: Carrier['kind'],
  offset: number | Register,
  bytes: number,
  to: number,
  short: string,
): void {
  program.do('mov', r1, of(r6))
  program.do('mov', r2, offset === r7 ? of(r7) : offset)
  program.do('mov', r3, of(stack)).do('add', r3, to).do('mov', r4, bytes)
  if (kind === 'fanout') program.do('mov', r5, FROM_MAC_HEADER).call(SKB_LOAD_BYTES_RELATIVE)
  else program.call(XDP_LOAD_BYTES)
  program.jumpIf('ne', r0, 0, short)
}

function lookUp(program: Assembler, map: number, key: number): void {
  program.loadMap(r1, map).do('mov', r2, of(stack)).do('add', r2, key).call(MAP_LOOKUP)
}

// r7 = where the network header starts, r9 = its type, r1 = the VLAN (0 = none).
function readVlan(program: Assembler, kind: Carrier['kind']): void {
  program.load(2, r9, stack, FRAME + 12)
  if (kind === 'fanout') {
    // The kernel has taken the tag off already.
    program.load(4, r1, r6, SKB_VLAN_PRESENT).jumpIf('eq', r1, 0, 'in-frame')
    program.load(4, r1, r6, SKB_VLAN_TCI).do('and', r1, VLAN_MASK).jump('key').label('in-frame')
  }
  for (const type of TAG_TYPES) program.jumpIf('eq', r9, type, 'tagged')
  program.do('mov', r1, 0).jump('key').label('tagged')
  loadFrame(program, kind, ETHERNET, TAG, FRAME + ETHERNET, 'default')
  program.do('mov', r7, ETHERNET + TAG).load(2, r9, stack, FRAME + ETHERNET + 2)
  program
    .load(2, r1, stack, FRAME + ETHERNET)
    .fromWire(r1, 16)
    .do('and', r1, VLAN_MASK)
}

// r0 = the hash of the flow; 0 for what has none. Uses r7 and r9.
function hashFlow(program: Assembler, kind: Carrier['kind']): void {
  const mix = (at: number, factor: number): void => {
    program.do32('mul', r9, factor).load(4, r1, stack, at).do32('xor', r9, of(r1))
  }
  const protocol = (at: number): void => {
    program.load(1, r1, stack, at)
    for (const number of WITH_PORTS) program.jumpIf('eq', r1, number, 'ports')
    program.jump('hashed')
  }
  program.do('mov', r0, 0)
  program.jumpIf('eq', r9, TYPE_IPV4, 'ipv4').jumpIf('eq', r9, TYPE_IPV6, 'ipv6').jump('bucket')
  program.label('ipv4')
  loadFrame(program, kind, r7, IPV4_HEADER, NETWORK, 'flat')
  program.load(4, r9, stack, NETWORK + 12)
  mix(NETWORK + 16, MIX[0])
  // r7 = where the ports are, if this is no fragment
  program.load(1, r1, stack, NETWORK).do('and', r1, 15).do('lsh', r1, 2).do('add', r7, of(r1))
  program.load(2, r1, stack, NETWORK + 6).jumpIf('set', r1, FRAGMENT_BITS, 'hashed')
  protocol(NETWORK + 9)
  program.label('ipv6')
  loadFrame(program, kind, r7, IPV6_HEADER, NETWORK, 'flat')
  program.do('add', r7, IPV6_HEADER).load(4, r9, stack, NETWORK + 8)
  for (let at = NETWORK + 12; at < NETWORK + IPV6_HEADER; at += 4) mix(at, MIX[0])
  protocol(NETWORK + 6)
  program.label('ports')
  loadFrame(program, kind, r7, 4, PORTS, 'hashed')
  mix(PORTS, MIX[1])
  program.label('hashed')
  for (const [shift, factor] of [
    [15, MIX[1]],
    [13, MIX[2]],
  ] as const)
    program.do32('mov', r1, of(r9)).do32('rsh', r1, shift).do32('xor', r9, of(r1)).do32('mul', r9, factor)
  program.do32('mov', r0, of(r9)).do32('rsh', r0, 16).jump('bucket')
  program.label('flat').do('mov', r0, 0)
  program.label('bucket')
}

/** A program that steers by `maps`. */
export function steeringProgram(maps: SteeringMaps, carrier: Carrier): Buffer {
  const { kind } = carrier
  const program = new Assembler()
  // r9 counts also where the frame is too short to be read.
  program.do('mov', r6, of(r1)).do('mov', r7, ETHERNET).do('mov', r9, 0)
  loadFrame(program, kind, 0, ETHERNET, FRAME, 'default')
  readVlan(program, kind)
  program.label('key')
  program.load(8, r2, stack, FRAME).do('lsh', r2, 16).do('rsh', r2, 16)
  program.do('lsh', r1, 48).do('or', r2, of(r1)).store(8, stack, KEY, r2)
  lookUp(program, maps.rules, KEY)
  program.jumpIf('ne', r0, 0, 'found')
  program.load(8, r1, stack, KEY).do('mov', r2, STEER_ANY_VLAN).do('lsh', r2, 48)
  program.do('or', r1, of(r2)).store(8, stack, KEY, r1)
  lookUp(program, maps.rules, KEY)
  program.jumpIf('ne', r0, 0, 'found')
  program.label('default')
  program.do('mov', r1, 0).store(4, stack, DEFAULT_KEY, r1)
  lookUp(program, maps.fallback, DEFAULT_KEY)
  program.jumpIf('ne', r0, 0, 'found').do('mov', r0, 0).jump('answer')
  program.label('found')
  program.do('mov', r8, of(r0)).load(4, r1, r8, STEER_SPREAD).jumpIf('eq', r1, 0, 'chosen')
  hashFlow(program, kind)
  program.do('and', r0, STEER_BUCKETS - 1).do('add', r8, of(r0))
  program.label('chosen').load(1, r0, r8, STEER_QUEUES)
  program.label('answer')
  if (carrier.kind === 'fanout') return program.exit().assemble()
  return redirect(program.load(4, r2, r6, XDP_RX_QUEUE).do('mul', r2, carrier.queues).do('add', r2, of(r0)), carrier.sockets)
}

// Hands the frame to entry r2 of the map of sockets; where it has none the host's stack takes the frame.
const redirect = (program: Assembler, sockets: number): Buffer =>
  program.loadMap(r1, sockets).do('mov', r3, XDP_PASS).call(REDIRECT_MAP).exit().assemble()

/** An XDP program that gives each frame of a receive queue of the interface to the socket of the same index. */
export const redirectProgram = (sockets: number): Buffer => redirect(new Assembler().load(4, r2, r1, XDP_RX_QUEUE), sockets)
