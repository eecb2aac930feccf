// Options of the flow-export extension.
import { OptionError, OptionReader, parseIpv4, parseIpv6, type UdpTarget } from '../../extension.ts'

const COLLECTORS_MAX = 8
const IPFIX_PORT = 4739
const SFLOW_PORT = 6343
const FLOWS_DEFAULT = 65_536
const FLOWS_MAX = 1 << 20
const SAMPLING_MAX = 1 << 24
const MTU_DEFAULT = 1500
/** Every path of IPv4 takes as much. */
const MTU_MIN = 576
const MTU_MAX = 65_535
const UDP_HEADERS_IPV4 = 28
const UDP_HEADERS_IPV6 = 48
/** A datagram over IPv4 has no more. */
const DATAGRAM_BYTES_MAX = 65_507
const SECONDS_MAX = 86_400
const HEADER_BYTES_MAX = 512
const DOMAIN_MAX = 0xffffffff

interface Export {
  readonly collectors: readonly UdpTarget[]
  /** Bytes of the longest message: the MTU less the headers of IP and UDP. */
  readonly messageBytes: number
  /** One of so many packets counts. */
  readonly sampling: number
}

export interface IpfixOptions extends Export {
  readonly direction: 'ingress' | 'egress' | 'both'
  readonly activeTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly templateIntervalMs: number
  /** Flows that one processor's table holds. */
  readonly flows: number
  /** Of processor 0; the others' follow. */
  readonly observationDomain: number
}

export interface SflowOptions extends Export {
  /** Address that the switch is known by: 4 or 16 bytes. */
  readonly agent: Uint8Array
  readonly headerBytes: number
  readonly counterIntervalMs: number
}

export interface FlowExportOptions {
  readonly ipfix: IpfixOptions | undefined
  readonly sflow: SflowOptions | undefined
}

function addressBytes(text: string): Uint8Array | undefined {
  try {
    if (text.includes(':')) return parseIpv6(text)
    const value = parseIpv4(text)
    return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
  } catch {
    return undefined
  }
}

// "192.0.2.1", "192.0.2.1:4739", "2001:db8::1", "[2001:db8::1]:4739": address, and port if there is one.
function splitCollector(text: string): readonly [string, string | undefined] {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text)
  if (bracketed) return [bracketed[1]!, bracketed[2]]
  const parts = text.split(':')
  return parts.length === 2 ? [parts[0]!, parts[1]] : [text, undefined]
}

function readCollector(value: unknown, path: string, usualPort: number): UdpTarget {
  const [address, port] = typeof value === 'string' ? splitCollector(value) : ['', undefined]
  const number = port === undefined ? usualPort : /^\d+$/.test(port) ? Number(port) : 0
  if (addressBytes(address) !== undefined && number >= 1 && number <= 65_535) return { address, port: number }
  throw new OptionError(
    path,
    `${JSON.stringify(value)} is no collector: write an address, with or without a port, like 192.0.2.1:${usualPort} or [2001:db8::1]:${usualPort}`,
  )
}

function readExport(reader: OptionReader, usualPort: number, sampling: number): Export {
  const collectors = reader.list('collectors', (value, path) => readCollector(value, path, usualPort)) ?? []
  if (collectors.length === 0 || collectors.length > COLLECTORS_MAX)
    throw reader.error('collectors', `are ${collectors.length}: write 1 to ${COLLECTORS_MAX}, like 192.0.2.1:${usualPort}`)
  const isIpv6 = collectors.some(({ address }) => address.includes(':'))
  const mtu = reader.integer('mtu', MTU_MIN, MTU_MAX) ?? MTU_DEFAULT
  return {
    collectors,
    messageBytes: Math.min(mtu - (isIpv6 ? UDP_HEADERS_IPV6 : UDP_HEADERS_IPV4), DATAGRAM_BYTES_MAX),
    sampling: reader.integer('sampling', 1, SAMPLING_MAX) ?? sampling,
  }
}

const readSeconds = (reader: OptionReader, name: string, usual: number, min = 1): number =>
  (reader.integer(name, min, SECONDS_MAX) ?? usual) * 1000

function readIpfix(raw: unknown): IpfixOptions {
  const reader = new OptionReader(raw, 'ipfix')
  const options: IpfixOptions = {
    ...readExport(reader, IPFIX_PORT, 1),
    direction: reader.choice('direction', ['ingress', 'egress', 'both']) ?? 'ingress',
    activeTimeoutMs: readSeconds(reader, 'activeTimeout', 60),
    idleTimeoutMs: readSeconds(reader, 'idleTimeout', 15),
    templateIntervalMs: readSeconds(reader, 'templateInterval', 60),
    flows: reader.integer('flows', 16, FLOWS_MAX) ?? FLOWS_DEFAULT,
    observationDomain: reader.integer('observationDomain', 0, DOMAIN_MAX) ?? 1,
  }
  reader.done()
  return options
}

function readSflow(raw: unknown): SflowOptions {
  const reader = new OptionReader(raw, 'sflow')
  const text = reader.text('agent')
  const agent = text === undefined ? undefined : addressBytes(text)
  if (agent === undefined)
    throw reader.error(
      'agent',
      `${text === undefined ? 'is missing' : `${JSON.stringify(text)} is no address`}: write the IP address that collectors know this host by`,
    )
  const options: SflowOptions = {
    ...readExport(reader, SFLOW_PORT, 1000),
    agent,
    headerBytes: reader.integer('headerBytes', 14, HEADER_BYTES_MAX) ?? 128,
    counterIntervalMs: readSeconds(reader, 'counterInterval', 20, 0),
  }
  reader.done()
  if (sampleBytesMax(options) > options.messageBytes)
    throw reader.error('headerBytes', `${options.headerBytes} bytes of a header don't fit into the mtu`)
  return options
}

/** Datagram header and one flow sample with its records. */
const sampleBytesMax = ({ headerBytes }: SflowOptions): number => 40 + 40 + 24 + 24 + headerBytes + 4

/** Checks the configured options. */
export function parseFlowExportOptions(raw: unknown): FlowExportOptions {
  const reader = new OptionReader(raw)
  const [ipfix, sflow] = [reader.value('ipfix'), reader.value('sflow')]
  reader.done()
  if (ipfix === undefined && sflow === undefined)
    throw new OptionError('', 'there is nothing to send: write "ipfix" or "sflow", each with its collectors')
  return {
    ipfix: ipfix === undefined ? undefined : readIpfix(ipfix),
    sflow: sflow === undefined ? undefined : readSflow(sflow),
  }
}
