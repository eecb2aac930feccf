// rtnetlink's messages about the virtual functions of a real card: what `ip link set DEV vf N …` sends, and what the kernel tells of
// them. Bytes only; netlink.ts sends them.
//
// The rule it must not break: no length that comes from outside is trusted before it is checked.
import type { VfWords } from '../../adapter/linux-words.ts'
import type { LinkMode } from '../../adapter/vf-settings.ts'

const RTM_NEWLINK = 16
const RTM_GETLINK = 18
const NLMSG_ERROR = 2
const NLM_F_REQUEST = 1
const NLM_F_ACK = 4
const MESSAGE_HEADER = 16
const LINK_HEADER = 16
const ATTRIBUTE_HEADER = 4
const ATTRIBUTE_TYPE = 0x3fff
const IFLA_VFINFO_LIST = 22
const IFLA_EXT_MASK = 29
const IFLA_VF_INFO = 1
const IFLA_VF_MAC = 1
const IFLA_VF_VLAN = 2
const IFLA_VF_SPOOFCHK = 4
const IFLA_VF_LINK_STATE = 5
const IFLA_VF_RATE = 6
const IFLA_VF_TRUST = 9
/** RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS */
const VF_WITHOUT_STATISTICS = 9
/** MAX_ADDR_LEN of the kernel; a MAC address takes the first six bytes. */
const ADDRESS_ROOM = 32
const UNKNOWN = 0xffff_ffff

/** The kernel's numbers of link states. */
const linkStates: readonly LinkMode[] = ['auto', 'enable', 'disable']

/** Settings of a VF of a real card: the words of an adapter's VF, and its address. */
export interface HostVfWords extends VfWords {
  readonly mac?: string
}

/** What the kernel tells of one VF; null: its driver does not say. */
export interface HostVfSettings {
  readonly vf: number
  readonly mac: string
  readonly vlan: number
  readonly qos: number
  readonly spoofchk: boolean | null
  readonly trust: boolean | null
  readonly max_tx_rate: number
  readonly min_tx_rate: number
  readonly state: LinkMode | null
}

const align4 = (length: number): number => (length + 3) & ~3

function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(align4(ATTRIBUTE_HEADER + value.length))
  bytes.writeUInt16LE(ATTRIBUTE_HEADER + value.length, 0)
  bytes.writeUInt16LE(type, 2)
  value.copy(bytes, ATTRIBUTE_HEADER)
  return bytes
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, 4 * index)
  return bytes
}

function message(type: number, flags: number, sequence: number, index: number, body: Buffer): Buffer {
  const head = Buffer.alloc(MESSAGE_HEADER + LINK_HEADER)
  head.writeUInt32LE(head.length + body.length, 0)
  head.writeUInt16LE(type, 4)
  head.writeUInt16LE(flags, 6)
  head.writeUInt32LE(sequence, 8)
  head.writeInt32LE(index, MESSAGE_HEADER + 4)
  return Buffer.concat([head, body])
}

/**
 * `ip link set … vf N …` on the interface of number `index`. `words` are complete: with a rate there are both, with qos there is a VLAN.
 * The kernel answers with an acknowledgement.
 */
export function setVfMessage(index: number, vf: number, words: HostVfWords, sequence: number): Buffer {
  const { vlan, qos, spoofchk, trust, state, mac, min_tx_rate: min, max_tx_rate: max } = words
  const parts: Buffer[] = []
  if (vlan !== undefined) parts.push(attribute(IFLA_VF_VLAN, numbers(vf, vlan, qos ?? 0)))
  if (spoofchk !== undefined) parts.push(attribute(IFLA_VF_SPOOFCHK, numbers(vf, spoofchk ? 1 : 0)))
  if (trust !== undefined) parts.push(attribute(IFLA_VF_TRUST, numbers(vf, trust ? 1 : 0)))
  if (state !== undefined) parts.push(attribute(IFLA_VF_LINK_STATE, numbers(vf, linkStates.indexOf(state))))
  if (mac !== undefined) {
    const address = Buffer.alloc(ADDRESS_ROOM)
    Buffer.from(mac.replaceAll(':', ''), 'hex').copy(address)
    parts.push(attribute(IFLA_VF_MAC, Buffer.concat([numbers(vf), address])))
  }
  if (min !== undefined || max !== undefined) parts.push(attribute(IFLA_VF_RATE, numbers(vf, min ?? 0, max ?? 0)))
  const list = attribute(IFLA_VFINFO_LIST, attribute(IFLA_VF_INFO, Buffer.concat(parts)))
  return message(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, sequence, index, list)
}

/** Asks for an interface with its VFs. */
export const getVfsMessage = (index: number, sequence: number): Buffer =>
  message(RTM_GETLINK, NLM_F_REQUEST, sequence, index, attribute(IFLA_EXT_MASK, numbers(VF_WITHOUT_STATISTICS)))

/** Attributes of `bytes`; whatever is cut off is left out. */
function* attributes(bytes: Buffer): Generator<readonly [type: number, value: Buffer]> {
  for (let at = 0; at + ATTRIBUTE_HEADER <= bytes.length; ) {
    const length = bytes.readUInt16LE(at)
    if (length < ATTRIBUTE_HEADER || at + length > bytes.length) return
    yield [bytes.readUInt16LE(at + 2) & ATTRIBUTE_TYPE, bytes.subarray(at + ATTRIBUTE_HEADER, at + length)]
    at += align4(length)
  }
}

/** What the kernel answered: an errno (0: done) of each acknowledgement, and the VFs of an interface. */
export function readVfAnswer(bytes: Buffer): { readonly errno: number | undefined; readonly vfs: readonly HostVfSettings[] } {
  let errno: number | undefined
  const vfs: HostVfSettings[] = []
  for (let at = 0; at + MESSAGE_HEADER <= bytes.length; ) {
    const length = bytes.readUInt32LE(at)
    if (length < MESSAGE_HEADER || at + length > bytes.length) break
    const type = bytes.readUInt16LE(at + 4)
    const body = bytes.subarray(at + MESSAGE_HEADER, at + length)
    if (type === NLMSG_ERROR && body.length >= 4) errno = Math.abs(body.readInt32LE(0))
    else if (type === RTM_NEWLINK && body.length >= LINK_HEADER)
      for (const [kind, list] of attributes(body.subarray(LINK_HEADER)))
        if (kind === IFLA_VFINFO_LIST)
          for (const [inner, one] of attributes(list)) if (inner === IFLA_VF_INFO) vfs.push(settingsOf(one))
    at += align4(length)
  }
  return { errno, vfs }
}

function settingsOf(bytes: Buffer): HostVfSettings {
  const found = new Map(attributes(bytes))
  const word = (type: number, index: number): number | undefined => {
    const value = found.get(type)
    return value !== undefined && value.length >= 4 * (index + 1) ? value.readUInt32LE(4 * index) : undefined
  }
  const yesNo = (type: number): boolean | null => {
    const value = word(type, 1)
    return value === undefined || value === UNKNOWN ? null : value !== 0
  }
  const address = found.get(IFLA_VF_MAC)
  const mac = address !== undefined && address.length >= 10 ? address.subarray(4, 10) : Buffer.alloc(6)
  return {
    vf: word(IFLA_VF_MAC, 0) ?? word(IFLA_VF_VLAN, 0) ?? 0,
    mac: [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
    vlan: word(IFLA_VF_VLAN, 1) ?? 0,
    qos: word(IFLA_VF_VLAN, 2) ?? 0,
    spoofchk: yesNo(IFLA_VF_SPOOFCHK),
    trust: yesNo(IFLA_VF_TRUST),
    max_tx_rate: word(IFLA_VF_RATE, 2) ?? 0,
    min_tx_rate: word(IFLA_VF_RATE, 1) ?? 0,
    state: linkStates[word(IFLA_VF_LINK_STATE, 1) ?? -1] ?? null,
  }
}
