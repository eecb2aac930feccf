// Records of the shared bucket, as they are written and as they are read: whatever another host wrote is checked here first.
//
// The rule it must not break: a record whose text says something else than its key is refused; members that this version does not know are
// kept when a record is written again.
import { z } from 'zod'
import { imposableTypes, readImposed } from '../../switch/policies/imposed.ts'
import { canonicalAddress } from './addresses.ts'
import { type Place, placeOf } from './keys.ts'

/** Version of the records that this vmswitch writes, and the newest that it reads. */
export const RECORD_VERSION = 1
export const RECORD_BYTES_MAX = 64 * 1024
const VIRTUAL_SUBNET_MAX = 0xfffffe
const ADDRESSES_PER_PORT_MAX = 32 // as many as a configuration may name
const NAME_MAX = 256

const version = z.number().int().min(1)
const name = z.string().min(1).max(NAME_MAX)
const address = z.string().refine((text) => canonicalAddress(text) === text, 'not an address in its one spelling')
const mac = z.string().regex(/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/)
const subnetId = z.number().int().min(1).max(VIRTUAL_SUBNET_MAX)
const prefix = z.string().regex(/^[0-9a-f.:]+\/\d{1,3}$/)
const revision = z.number().int().min(0)

export const overlayKinds = ['nvgre', 'vxlan', 'geneve'] as const

export const networkSchema = z.looseObject({
  v: version,
  name,
  /** Hosts that write older records may not join. */
  minimumVersion: version,
  overlay: z.enum(overlayKinds).optional(),
})

export const subnetSchema = z.looseObject({
  v: version,
  virtualSubnetId: subnetId,
  routingDomainId: name.optional(),
  name: name.optional(),
  /** Whose it is: ports of other tenants are refused. */
  tenant: name.optional(),
  /** Hosts that may have ports in it; all without it. */
  hosts: z.array(name).max(4096).optional(),
  /** Customer addresses lie in these; anywhere without it. */
  prefixes: z.array(prefix).max(64).optional(),
  /** Addresses of the router in it, where it is in a routing domain. */
  gateways: z.array(address).max(16).optional(),
})

/** What the network imposes on the ports of a virtual subnet, or on the port of a name. */
export const policySchema = z
  .looseObject({
    v: version,
    name,
    virtualSubnetId: subnetId.optional(),
    port: name.optional(),
    properties: z.array(z.strictObject({ type: z.enum(imposableTypes), value: z.unknown() })).max(imposableTypes.length),
  })
  .superRefine((policy, { addIssue }) => {
    try {
      readImposed(policy)
    } catch (error) {
      addIssue({ code: 'custom', message: (error as Error).message })
    }
  })

/** A look-up record that no port makes: of a gateway, or of a machine that no vmswitch serves. */
export const staticLookupSchema = z.looseObject({
  v: version,
  virtualSubnetId: subnetId,
  mac,
  customerAddresses: z.array(address).max(ADDRESSES_PER_PORT_MAX),
  providerAddress: address,
})

export const leaseSchema = z.looseObject({
  v: version,
  host: name,
  /** Made up by each start of a vmswitch: two that bear one name can be told apart. */
  instance: z.string().min(1).max(64),
  /** Revision of the first lease since which the host was never away; 0: this one. */
  aliveSince: revision,
  /** Milliseconds without a new lease after which the host counts as lost. */
  ttlMs: z.number().int().min(500).max(3_600_000),
  /** Where its tunnels end. */
  providerAddresses: z.array(address).max(16),
  /** Version of its vmswitch. */
  software: z.string().max(64),
  /** Address of its control API, for who moves guests; absent: none on the network. */
  api: z.string().max(300).optional(),
})

export const portSchema = z.looseObject({
  v: version,
  name,
  mac,
  /** 0: in no virtual subnet. */
  virtualSubnetId: z.number().int().min(0).max(VIRTUAL_SUBNET_MAX),
  customerAddresses: z.array(address).max(ADDRESSES_PER_PORT_MAX),
  vm: name,
  tenant: z.string().max(NAME_MAX),
  link: z.enum(['up', 'down']),
  /** Its properties, as a configuration writes them. */
  policies: z.array(z.looseObject({ type: z.string().max(64) })).max(4096),
  /** Host from which it is about to move here. */
  movingFrom: name.optional(),
})

export const claimSchema = z.looseObject({ v: version, port: name })

export type NetworkRecord = z.output<typeof networkSchema>
export type SubnetRecord = z.output<typeof subnetSchema>
export type PolicyRecord = z.output<typeof policySchema>
export type StaticLookup = z.output<typeof staticLookupSchema>
export type LeaseRecord = z.output<typeof leaseSchema>
export type PortRecord = z.output<typeof portSchema>
export type ClaimRecord = z.output<typeof claimSchema>

interface Records {
  readonly network: NetworkRecord
  readonly subnet: SubnetRecord
  readonly policy: PolicyRecord
  readonly lookup: StaticLookup
  readonly lease: LeaseRecord
  readonly port: PortRecord
  readonly claim: ClaimRecord
}

/** A record with the place where it stands. */
export type PlacedRecord = {
  [Kind in Place['kind']]: { readonly kind: Kind; readonly place: Extract<Place, { kind: Kind }>; readonly record: Records[Kind] }
}[Place['kind']]

const schemas = {
  network: networkSchema,
  subnet: subnetSchema,
  policy: policySchema,
  lookup: staticLookupSchema,
  lease: leaseSchema,
  port: portSchema,
  claim: claimSchema,
} as const

export type ReadResult = PlacedRecord | { readonly kind: 'refused'; readonly code: RefusalCode; readonly message: string }
export type RefusalCode = 'unknown-key' | 'too-long' | 'not-json' | 'too-new' | 'malformed' | 'wrong-key'

const refused = (code: RefusalCode, message: string): ReadResult => ({ kind: 'refused', code, message })

/** Reads what stands at `key`. Refuses what is none of the records above, or belongs somewhere else. */
export function readRecord(key: string, text: string): ReadResult {
  const place = placeOf(key)
  if (place === null) return refused('unknown-key', 'no record stands at such a key')
  if (text.length > RECORD_BYTES_MAX)
    return refused('too-long', `it has ${text.length} characters, ${RECORD_BYTES_MAX} are allowed`)
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch {
    return refused('not-json', 'it is not JSON')
  }
  const written = (data as { v?: unknown } | null)?.v
  if (typeof written === 'number' && written > RECORD_VERSION)
    return refused('too-new', `it has version ${written}, this vmswitch reads ${RECORD_VERSION}: update it`)
  const parsed = schemas[place.kind].safeParse(data)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    return refused('malformed', `${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'is malformed'}`)
  }
  const found = { kind: place.kind, place, record: parsed.data } as PlacedRecord
  return saysTheSame(found) ? found : refused('wrong-key', 'it says something else than its key')
}

function saysTheSame(found: PlacedRecord): boolean {
  switch (found.kind) {
    case 'subnet':
      return found.record.virtualSubnetId === found.place.virtualSubnetId
    case 'policy':
      return found.record.name === found.place.name
    case 'lookup':
      return found.record.virtualSubnetId === found.place.virtualSubnetId && found.record.mac === found.place.mac
    case 'lease':
      return found.record.host === found.place.host
    case 'port':
      return found.record.name === found.place.port
    default:
      return true
  }
}

/** The text of a record; members of `before` that `record` does not have are kept. */
export const writeRecord = (record: object, before: object = {}): string => JSON.stringify({ ...before, ...record })
