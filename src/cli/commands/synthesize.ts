// Makes a frame of a few words, for `vmswitch trace --synth`: 'tcp,src=10.0.0.1,dst=10.0.0.2,dport=80,to=beta'.

import { nearest } from '../../manage/config/suggest.ts'
import {
  arpRequestFrame,
  BROADCAST_MAC,
  echoFrame,
  etherFrame,
  type FrameAddresses,
  tcpFrame,
  udpFrame,
} from '../../packet/build.ts'
import { PacketFormatError } from '../../packet/errors.ts'
import { EtherType } from '../../packet/ethernet.ts'
import { TcpFlag } from '../../packet/transport.ts'
import { CliError, ExitCode } from '../exit.ts'

/** Kinds of frames; those that only say the family of the addresses may stand before another one. */
const kinds = ['tcp', 'udp', 'icmp', 'arp', 'ether'] as const
type Kind = (typeof kinds)[number]
const families = ['ip', 'ip6'] as const
const keys = ['smac', 'dmac', 'to', 'src', 'dst', 'sport', 'dport', 'flags', 'vlan', 'prio', 'ttl', 'bytes', 'type'] as const
type Key = (typeof keys)[number]

/** The words of ovs-appctl's ofproto/trace for the same, so that a flow from there can be pasted. */
const aliases: Readonly<Record<string, Key>> = {
  dl_src: 'smac',
  eth_src: 'smac',
  dl_dst: 'dmac',
  eth_dst: 'dmac',
  dl_type: 'type',
  eth_type: 'type',
  dl_vlan: 'vlan',
  vlan_vid: 'vlan',
  dl_vlan_pcp: 'prio',
  vlan_pcp: 'prio',
  nw_src: 'src',
  ip_src: 'src',
  ipv6_src: 'src',
  nw_dst: 'dst',
  ip_dst: 'dst',
  ipv6_dst: 'dst',
  nw_ttl: 'ttl',
  tp_src: 'sport',
  tcp_src: 'sport',
  udp_src: 'sport',
  tp_dst: 'dport',
  tcp_dst: 'dport',
  udp_dst: 'dport',
}
const familyKinds: Readonly<Record<string, Kind>> = { tcp6: 'tcp', udp6: 'udp', icmp6: 'icmp' }

const SOURCE_MAC = '02:00:00:00:00:01'
const DESTINATION_MAC = '02:00:00:00:00:02'
const PORT_MAX = 65_535
const VLAN_MAX = 4095
const PAYLOAD_MAX = 65_000
const EPHEMERAL_PORT = 40_000
const FRAME_MIN = 60

const wrong = (message: string): CliError =>
  new CliError('usage', `--synth: ${message}`, "for example 'tcp,src=10.0.0.1,dst=10.0.0.2,dport=80,to=PORT'", ExitCode.usage)

/**
 * The frame. `portMac`: address of the port that it comes from, if it has one; `macOf`: address of the port that `to` names.
 * Throws CliError.
 */
export function synthesize(
  words: string,
  portMac: string | undefined,
  macOf: (port: string) => string | undefined = () => undefined,
): Uint8Array {
  const { kind, family, values } = parse(words)
  const whole = (key: Key, most: number, otherwise: number): number => {
    const text = values.get(key)
    if (text === undefined) return otherwise
    const value = Number(text)
    if (!/^(0x[0-9a-f]+|\d+)$/i.test(text) || value > most) throw wrong(`${key} is a number up to ${most}, and not "${text}"`)
    return value
  }
  const to = values.get('to')
  const toMac = to === undefined ? undefined : macOf(to)
  if (to !== undefined && toMac === undefined) throw wrong(`there is no port "${to}" whose address is known: give dmac=`)
  const six = family === 'ip6' || (values.get('src') ?? values.get('dst') ?? '').includes(':')
  const vlan = values.has('vlan') || values.has('prio')
  const tag = { protocol: EtherType.vlan, priority: whole('prio', 7, 0), dropEligible: false, id: whole('vlan', VLAN_MAX, 0) }
  const addresses: FrameAddresses = {
    sourceMac: values.get('smac') ?? portMac ?? SOURCE_MAC,
    destinationMac: values.get('dmac') ?? toMac ?? (kind === 'arp' ? BROADCAST_MAC : DESTINATION_MAC),
    source: values.get('src') ?? (six ? 'fd00::1' : '10.0.0.1'),
    destination: values.get('dst') ?? (six ? 'fd00::2' : '10.0.0.2'),
    tags: vlan ? [tag] : [],
    hops: whole('ttl', 255, 64),
  }
  const data = new Uint8Array(whole('bytes', PAYLOAD_MAX, 0))
  const ports = [whole('sport', PORT_MAX, EPHEMERAL_PORT), whole('dport', PORT_MAX, 80)] as const
  try {
    if (kind === 'udp') return udpFrame(addresses, ...ports, data)
    if (kind === 'icmp') return echoFrame(addresses, false, 1, 1, data)
    if (kind === 'tcp') return tcpFrame(addresses, ...ports, { data, flags: flagsOf(values.get('flags') ?? 'S') })
    const type = kind === 'arp' ? EtherType.arp : whole('type', 0xffff, 0x88b5)
    const body = kind === 'arp' ? arpBody(addresses) : new Uint8Array(Math.max(data.length, FRAME_MIN - 14))
    return etherFrame(addresses.destinationMac, addresses.sourceMac, type, body, addresses.tags)
  } catch (error) {
    if (error instanceof PacketFormatError) throw wrong(error.message)
    throw error
  }
}

const arpBody = ({ sourceMac, source, destination }: FrameAddresses): Uint8Array =>
  arpRequestFrame(sourceMac, source, destination).subarray(14)

const flagLetters: Readonly<Record<string, number>> = {
  S: TcpFlag.syn,
  A: TcpFlag.ack,
  F: TcpFlag.fin,
  R: TcpFlag.rst,
  P: TcpFlag.psh,
  U: TcpFlag.urg,
}

function flagsOf(letters: string): number {
  let flags = 0
  for (const letter of letters.toUpperCase()) {
    const flag = flagLetters[letter]
    if (flag === undefined) throw wrong(`flags are of the letters ${Object.keys(flagLetters).join('')}, and not "${letters}"`)
    flags |= flag
  }
  return flags
}

// The words with a caret under the one at `at`.
const shown = (words: string, at: number, length: number): string =>
  `\n  ${words}\n  ${words.slice(0, at).replace(/[^\t]/g, ' ')}${'^'.repeat(Math.max(1, length))}`

function unknown(words: string, word: string, at: number): CliError {
  const isKey = word.includes('=')
  const name = isKey ? word.slice(0, word.indexOf('=')) : word
  if (name === 'in_port') return wrong(`the port stands before --synth, in place of in_port${shown(words, at, name.length)}`)
  const known = isKey ? [...keys, ...Object.keys(aliases)] : [...families, ...kinds, ...Object.keys(familyKinds)]
  const meant = nearest(name, known)
  const all = isKey ? keys.map((one) => `${one}=`) : [...families, ...kinds]
  const hint = meant === null ? `"${word}" is none of ${all.join(', ')}` : `"${name}" is not known; did you mean ${meant}?`
  return wrong(`${hint}${shown(words, at, name.length)}`)
}

function parse(words: string): { kind: Kind; family: string | undefined; values: ReadonlyMap<Key, string> } {
  let kind: Kind | undefined
  let family: string | undefined
  const values = new Map<Key, string>()
  let start = 0
  for (const raw of words.split(',')) {
    const word = raw.trim()
    const at = start + raw.length - raw.trimStart().length
    start += raw.length + 1
    const equals = word.indexOf('=')
    const name = equals < 0 ? word : word.slice(0, equals)
    const key = keys.find((one) => one === name) ?? (Object.hasOwn(aliases, name) ? aliases[name] : undefined)
    if (equals >= 0 && key !== undefined) values.set(key, word.slice(equals + 1))
    else if (equals < 0 && kinds.some((one) => one === name)) kind = name as Kind
    else if (equals < 0 && families.some((one) => one === name)) family = name
    else if (equals < 0 && Object.hasOwn(familyKinds, name)) {
      kind = familyKinds[name]
      family = 'ip6'
    } else throw unknown(words, word, at)
  }
  if (kind === undefined) throw wrong(`say what it is: ${kinds.join(', ')}`)
  return { kind, family, values }
}
