// The templates of the IPFIX messages: which information elements a record has, in their order and length (RFC 7011 section 3.4; names
// and numbers of IANA's registry).
//
// The rule it must not break: what ipfix-writer.ts writes into a record is what its template says.

/** Id of an information element and bytes of its value; 65535 = its length stands before it. */
type Field = readonly [id: number, bytes: number]

export const VARIABLE_LENGTH = 65535

const common = {
  flowStartMilliseconds: [152, 8],
  flowEndMilliseconds: [153, 8],
  octetDeltaCount: [1, 8],
  packetDeltaCount: [2, 8],
  layer2OctetDeltaCount: [352, 8],
  droppedOctetDeltaCount: [132, 8],
  droppedPacketDeltaCount: [133, 8],
  ingressInterface: [10, 4],
  egressInterface: [14, 4],
  destinationMacAddress: [80, 6],
  sourceMacAddress: [56, 6],
  vlanId: [58, 2],
  dot1qVlanId: [243, 2],
  sourceTransportPort: [7, 2],
  destinationTransportPort: [11, 2],
  protocolIdentifier: [4, 1],
  ipVersion: [60, 1],
  tcpControlBits: [6, 1],
  flowDirection: [61, 1],
  flowEndReason: [136, 1],
  forwardingStatus: [89, 1],
} as const

const ipv4 = { sourceIPv4Address: [8, 4], destinationIPv4Address: [12, 4], icmpTypeCodeIPv4: [32, 2] } as const
const ipv6 = { sourceIPv6Address: [27, 16], destinationIPv6Address: [28, 16], icmpTypeCodeIPv6: [139, 2] } as const

const bytesOf = (fields: readonly Field[]): number => fields.reduce((sum, [, bytes]) => sum + bytes, 0)

const fieldsIpv4: readonly Field[] = [...Object.values(common), ...Object.values(ipv4)]
const fieldsIpv6: readonly Field[] = [...Object.values(common), ...Object.values(ipv6)]

/** Sets of a message that are none of data. */
export const SetId = { template: 2, optionsTemplate: 3 } as const

export interface Template {
  readonly id: number
  readonly fields: readonly Field[]
  /** Scope fields, which come first; 0: a template of flows. */
  readonly scopes: number
}

export const flowsIpv4: Template = { id: 256, fields: fieldsIpv4, scopes: 0 }
export const flowsIpv6: Template = { id: 257, fields: fieldsIpv6, scopes: 0 }

/** How packets are chosen (RFC 5477): one of samplingPopulation, at random. */
export const sampling: Template = {
  id: 258,
  scopes: 1,
  fields: [
    [302, 8], // selectorId
    [304, 2], // selectorAlgorithm
    [309, 4], // samplingSize
    [310, 4], // samplingPopulation
    [305, 4], // samplingPacketInterval
    [306, 4], // samplingPacketSpace
  ],
}

/** What the numbers of interfaces stand for. */
export const interfaces: Template = {
  id: 259,
  scopes: 1,
  fields: [
    [10, 4], // ingressInterface
    [82, VARIABLE_LENGTH], // interfaceName
    [83, VARIABLE_LENGTH], // interfaceDescription
  ],
}

/** selectorAlgorithm: random n-out-of-N sampling. */
export const RANDOM_N_OUT_OF_N = 3

export const RECORD_BYTES_IPV4 = bytesOf(fieldsIpv4)
export const RECORD_BYTES_IPV6 = bytesOf(fieldsIpv6)
