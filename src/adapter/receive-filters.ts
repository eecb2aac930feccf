// Receive filters on VPorts as NDIS keeps them: validation of a request, ids, owners, look-up by (MAC, VLAN).
//
// The rule it must not break: one (MAC, VLAN) pair is held by one filter at a time (PD-08); ids are nonzero and unique (SR-200).
import { NdisStatus } from '../ndis/status.ts'
import { macText } from '../switch/mac-table.ts'
import { ANY_VLAN, type FilterKey } from './filter-table.ts'
import {
  DEFAULT_RECEIVE_FILTER_ID,
  DEFAULT_RECEIVE_QUEUE_ID,
  FIELD_VLAN_UNTAGGED_OR_ZERO,
  FILTER_PACKET_ENCAPSULATION,
  FilterCaps,
  FilterTest,
  FilterType,
  FrameHeader,
  MAC_ADDRESS_BYTES,
  MacField,
} from './identifiers.ts'
import { lowestFree } from './lowest-free.ts'
import type { FieldParameters, FilterParameters, ReceiveFilterCapabilities } from './payloads.ts'

/** Field tests that one filter may have: a MAC address and a VLAN id. */
const FIELDS_MAX = 2
const VLAN_ID_MAX = 4094
const VLAN_BYTES = 2

/** A filter that is set. */
export interface Filter {
  readonly id: number
  readonly owner: string
  vport: number
  readonly key: FilterKey
  readonly parameters: FilterParameters
}

/** Reads the tests of a filter; undefined if a test is not one that SR-IOV knows (SR-202). */
export function readFilterKey(parameters: FilterParameters, capabilities: ReceiveFilterCapabilities): FilterKey | undefined {
  const { fieldParameters: fields } = parameters
  if (!Array.isArray(fields) || fields.length === 0 || fields.length > FIELDS_MAX) return undefined
  let mac: string | undefined
  let vlan: number | undefined
  let untagged = false
  for (const field of fields as readonly FieldParameters[]) {
    if (field?.frameHeader !== FrameHeader.mac || field.receiveFilterTest !== FilterTest.equal) return undefined
    if (!Array.isArray(field.fieldValue) || !field.fieldValue.every(isOctet)) return undefined
    if ((field.flags & FIELD_VLAN_UNTAGGED_OR_ZERO) !== 0) untagged = true
    if (field.headerField === MacField.destinationAddress && mac === undefined) mac = readMac(field.fieldValue)
    else if (field.headerField === MacField.vlanId && vlan === undefined) vlan = readVlan(field.fieldValue, capabilities)
    else return undefined
    if (mac === undefined && vlan === undefined) return undefined
  }
  if (mac === undefined || (untagged && vlan !== undefined)) return undefined // SR-210
  if (fields.length === FIELDS_MAX && vlan === undefined) return undefined
  const inner = (parameters.flags & FILTER_PACKET_ENCAPSULATION) !== 0
  if (!testsVlans(capabilities)) return { mac, inner, vlan: ANY_VLAN } // SR-068: the address alone decides
  return { mac, inner, vlan: vlan ?? (untagged ? 0 : ANY_VLAN) } // SR-206, SR-208
}

const isOctet = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 255

const testsVlans = (capabilities: ReceiveFilterCapabilities): boolean =>
  (capabilities.supportedMacHeaderFields & FilterCaps.vlanId) !== 0

// A station's address: no group has a filter, groups are lists of their own.
function readMac(value: readonly number[]): string | undefined {
  if (value.length !== MAC_ADDRESS_BYTES || (value[0]! & 1) !== 0) return undefined
  const [a, b, c, d, e, f] = value as [number, number, number, number, number, number]
  return macText(c | (d << 8) | (e << 16) | (f << 24), a | (b << 8))
}

// Network byte order (SR-212). Zero is not a VLAN to test for: that is UNTAGGED_OR_ZERO.
function readVlan(value: readonly number[], capabilities: ReceiveFilterCapabilities): number | undefined {
  if (!testsVlans(capabilities) || value.length !== VLAN_BYTES) return undefined
  const vlan = (value[0]! << 8) | value[1]!
  return vlan >= 1 && vlan <= VLAN_ID_MAX ? vlan : undefined
}

/** The field tests of a filter for `mac` in `vlan` (0 = untagged or zero, ANY_VLAN = no VLAN test). */
export function filterFields(mac: string, vlan: number): FieldParameters[] {
  const test = { frameHeader: FrameHeader.mac, receiveFilterTest: FilterTest.equal }
  const octets = mac.split(':').map((octet) => Number.parseInt(octet, 16))
  const flags = vlan === 0 ? FIELD_VLAN_UNTAGGED_OR_ZERO : 0 // SR-207
  const address: FieldParameters = { ...test, flags, headerField: MacField.destinationAddress, fieldValue: octets }
  if (vlan <= 0) return [address]
  return [address, { ...test, flags: 0, headerField: MacField.vlanId, fieldValue: [vlan >> 8, vlan & 255] }]
}

/** A SET_FILTER payload. */
export const filterParameters = (mac: string, vlan: number, vPortId: number, flags = 0): FilterParameters => ({
  flags,
  filterType: FilterType.vmQueue,
  queueId: DEFAULT_RECEIVE_QUEUE_ID,
  filterId: DEFAULT_RECEIVE_FILTER_ID,
  fieldParameters: filterFields(mac, vlan),
  requestedFilterIdBitCount: 0,
  vPortId,
})

const textOf = (key: FilterKey): string => `${key.mac}/${key.vlan}/${key.inner ? 'inner' : 'outer'}`

/** The filters of one adapter. */
export class ReceiveFilters {
  readonly #byId = new Map<number, Filter>()
  readonly #byKey = new Map<string, Filter>()
  readonly #limit: number
  readonly #vlanTests: boolean

  /** `limit`: unicast MAC filters that the switch holds. `vlanTests`: they can test VLAN ids. */
  constructor(limit: number, vlanTests = true) {
    this.#limit = limit
    this.#vlanTests = vlanTests
  }

  /** Checks a SET_FILTER and gives the filter its id, or says why not. It is not kept yet. */
  prepare(parameters: FilterParameters, owner: string, capabilities: ReceiveFilterCapabilities): Filter | NdisStatus {
    if (parameters.filterType !== FilterType.vmQueue) return NdisStatus.invalidParameter // SR-197
    if (parameters.queueId !== DEFAULT_RECEIVE_QUEUE_ID) return NdisStatus.invalidParameter // SR-198, SR-233
    if (parameters.filterId !== DEFAULT_RECEIVE_FILTER_ID) return NdisStatus.invalidParameter // SR-199
    if (parameters.requestedFilterIdBitCount !== 0) return NdisStatus.invalidParameter // SR-232
    const key = readFilterKey(parameters, capabilities)
    if (!key || this.#byKey.has(textOf(key))) return NdisStatus.invalidParameter // PD-08
    if (this.#byId.size >= this.#limit) return NdisStatus.resources
    const id = lowestFree(1, this.#limit, (candidate) => this.#byId.has(candidate)) // SR-200, PD-09
    return { id, owner, vport: parameters.vPortId, key, parameters: Object.freeze({ ...parameters, filterId: id }) }
  }

  /** Keeps a filter that the miniport has programmed (SR-226). */
  keep(filter: Filter): void {
    this.#byId.set(filter.id, filter)
    this.#byKey.set(textOf(filter.key), filter)
  }

  forget(filter: Filter): void {
    this.#byId.delete(filter.id)
    this.#byKey.delete(textOf(filter.key))
  }

  get(id: number): Filter | undefined {
    return this.#byId.get(id)
  }

  /** The filter of a MAC in a VLAN, if one is set. */
  find(mac: string, vlan: number): Filter | undefined {
    return this.#byKey.get(textOf({ mac: mac.toLowerCase(), vlan: this.#vlanTests ? vlan : ANY_VLAN, inner: false }))
  }

  /** All filters, or those of one VPort. */
  list(vport?: number): Filter[] {
    const all = [...this.#byId.values()]
    return vport === undefined ? all : all.filter((filter) => filter.vport === vport)
  }
}
