// Reads pcapng captures: for tests, traces and replay. Both byte orders, any number of sections; block types it does not know are
// skipped.
//
// The rule it must not break: captures come from anywhere, so every length is checked against the bytes that are there.
import { PacketFormatError } from './errors.ts'
import { BlockType, BYTE_ORDER_MAGIC, PcapngOption, VERDICT_TRAFFIC_CONTROL } from './pcapng.ts'

export interface PcapngInterface {
  readonly name: string
  readonly description: string
  readonly linkType: number
  readonly snapBytes: number
  readonly mac: Uint8Array | undefined
  /** Time stamps count units of 10^-resolution seconds. */
  readonly resolution: number
}

export interface PcapngPacket {
  /** Interface in the packet's section. */
  readonly interface: PcapngInterface
  /** Since 1970, in the interface's units. */
  readonly time: bigint
  readonly originalLength: number
  readonly data: Uint8Array
  /** Direction and reception type; 0 = not told. */
  readonly flags: number
  readonly id: number | undefined
  readonly queue: number | undefined
  /** PacketVerdict, where one is told. */
  readonly verdict: number | undefined
  readonly comments: readonly string[]
}

export interface PcapngCapture {
  /** Number of section headers. */
  readonly sections: number
  readonly interfaces: readonly PcapngInterface[]
  readonly packets: readonly PcapngPacket[]
}

const bad = (at: number, what: string): PacketFormatError =>
  new PacketFormatError('bad-capture', `not a pcapng capture: ${what} at byte ${at}`)

type Options = readonly (readonly [code: number, value: Uint8Array])[]

/** Reads a whole capture. Throws PacketFormatError. */
export function readPcapng(bytes: Uint8Array): PcapngCapture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const all: PcapngInterface[] = []
  const packets: PcapngPacket[] = []
  let section: PcapngInterface[] = []
  let sections = 0
  let little = true

  const readOptions = (from: number, end: number): Options => {
    const options: [number, Uint8Array][] = []
    for (let at = from; at + 4 <= end; ) {
      const code = view.getUint16(at, little)
      const length = view.getUint16(at + 2, little)
      if (code === PcapngOption.end) break
      if (at + 4 + length > end) throw bad(at, 'an option beyond its block')
      options.push([code, bytes.slice(at + 4, at + 4 + length)])
      at += 4 + ((length + 3) & ~3)
    }
    return options
  }
  const text = (options: Options, code: number): string => new TextDecoder().decode(find(options, code))
  const number = (options: Options, code: number): number | undefined => {
    const value = find(options, code)
    if (!value || value.length < 4) return undefined
    const at = little || value.length === 4 ? 0 : value.length - 4
    return new DataView(value.buffer, value.byteOffset + at).getUint32(0, little) // a Buffer's slice has no buffer of its own
  }

  const readInterface = (at: number, end: number): void => {
    if (end - at < 16) throw bad(at, 'a short interface block')
    const options = readOptions(at + 16, end)
    const described: PcapngInterface = {
      name: text(options, PcapngOption.interfaceName),
      description: text(options, PcapngOption.interfaceDescription),
      linkType: view.getUint16(at + 8, little),
      snapBytes: view.getUint32(at + 12, little),
      mac: find(options, PcapngOption.interfaceMac),
      resolution: find(options, PcapngOption.interfaceResolution)?.[0] ?? 6,
    }
    section.push(described)
    all.push(described)
  }
  const readPacket = (at: number, end: number): void => {
    if (end - at < 28) throw bad(at, 'a short packet block')
    const described = section[view.getUint32(at + 8, little)]
    if (!described) throw bad(at, 'a packet of an interface that was not described')
    const kept = view.getUint32(at + 20, little)
    if (at + 28 + kept > end) throw bad(at, 'a packet beyond its block')
    const options = readOptions(at + 28 + ((kept + 3) & ~3), end)
    packets.push({
      interface: described,
      time: (BigInt(view.getUint32(at + 12, little)) << 32n) | BigInt(view.getUint32(at + 16, little)),
      originalLength: view.getUint32(at + 24, little),
      data: bytes.slice(at + 28, at + 28 + kept),
      flags: number(options, PcapngOption.packetFlags) ?? 0,
      id: number(options, PcapngOption.packetId),
      queue: number(options, PcapngOption.packetQueue),
      verdict: verdictOf(find(options, PcapngOption.packetVerdict)),
      comments: options.filter(([code]) => code === PcapngOption.comment).map(([, value]) => new TextDecoder().decode(value)),
    })
  }

  for (let at = 0; at < bytes.length; ) {
    if (at + 12 > bytes.length) throw bad(at, 'a cut block')
    const isSection = view.getUint32(at, true) === BlockType.sectionHeader // reads the same in both orders
    if (isSection) {
      little = view.getUint32(at + 8, true) === BYTE_ORDER_MAGIC
      if (!little && view.getUint32(at + 8, false) !== BYTE_ORDER_MAGIC) throw bad(at, 'a wrong byte-order magic')
      section = []
      sections++
    } else if (sections === 0) throw bad(at, 'no section header')
    const length = view.getUint32(at + 4, little)
    if (length < 12 || length % 4 !== 0 || at + length > bytes.length) throw bad(at, `a block of ${length} bytes`)
    if (view.getUint32(at + length - 4, little) !== length) throw bad(at, 'a block whose two lengths differ')
    const type = view.getUint32(at, little)
    if (type === BlockType.interfaceDescription) readInterface(at, at + length - 4)
    else if (type === BlockType.enhancedPacket) readPacket(at, at + length - 4)
    at += length
  }
  return { sections, interfaces: all, packets }
}

// The kind of the verdict, then eight bytes of number, of which one is in use.
const verdictOf = (value: Uint8Array | undefined): number | undefined =>
  value?.length === 9 && value[0] === VERDICT_TRAFFIC_CONTROL ? Math.max(value[1]!, value[8]!) : undefined

const find = (options: Options, code: number): Uint8Array | undefined => options.find(([found]) => found === code)?.[1]
