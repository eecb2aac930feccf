// Leases in a form that outlives their table: handed to a newer module of the extension, and saved with a port that stops or moves.
//
// The rule it must not break: what comes back may be of another version or of other options: only what fits this network, and what nobody has, is
// taken.
import { isInPrefix, NdisStatus, type NicSaveRequest, NO_GUID, type OidVerdict, SAVE_DATA_OFFSET } from '../../extension.ts'
import { type Lease, LeaseState, type LeaseTable } from './leases.ts'
import { isOfNetwork, type LabNetwork } from './network-options.ts'

const VERSION = 1
const SAVED_MAX = 4096

export interface SavedLease {
  readonly state: number
  readonly port: number
  readonly family: number
  readonly address: readonly number[]
  readonly client: readonly [number, number, number]
  readonly livesMs: number
  readonly name: string
}

export interface SavedLeases {
  readonly version: number
  readonly leases: readonly SavedLease[]
}

/** The leases that are not over: all, or those of one port. */
export function saveLeases(table: LeaseTable, nowMs: number, port?: number): SavedLeases {
  return table.locked(() => {
    const leases: SavedLease[] = []
    for (const record of table.records(nowMs)) {
      const { state, port: owner, family, address, name }: Lease = table.last(record)
      if (state === LeaseState.offered || (port !== undefined && owner !== port)) continue
      leases.push({ state, port: owner, family, address, name, ...table.holding(record, nowMs) })
    }
    return { version: VERSION, leases }
  })
}

const isWord = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffffffff
const areWords = (value: unknown, count: number): value is number[] =>
  Array.isArray(value) && value.length === count && value.every(isWord)

function isSaved(value: unknown): value is SavedLease {
  if (typeof value !== 'object' || value === null) return false
  const { state, port, family, address, client, livesMs, name } = value as Record<string, unknown>
  const isState = state === LeaseState.bound || state === LeaseState.declined || state === LeaseState.learned
  const isName = typeof name === 'string' && /^[a-z0-9-]{0,63}$/.test(name)
  return (
    isState &&
    isName &&
    isWord(port) &&
    (family === 4 || family === 6) &&
    areWords(address, 4) &&
    areWords(client, 3) &&
    isWord(livesMs)
  )
}

function bytesOf(address: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(16)
  for (const [k, word] of address.entries()) new DataView(bytes.buffer).setUint32(k * 4, word)
  return bytes
}

const fits = (networks: readonly LabNetwork[], { family, address }: SavedLease): boolean =>
  networks.some(({ ipv4, ipv6 }) =>
    family === 4
      ? ipv4 !== undefined && isOfNetwork(address[3]!, ipv4.prefix) && address[3] !== ipv4.address
      : ipv6 !== undefined && isInPrefix(ipv6.prefix, bytesOf(address)),
  )

/** Takes leases back, for `port` in place of their own if one is given. False if they are none. */
export function takeLeases(
  table: LeaseTable,
  saved: unknown,
  networks: readonly LabNetwork[],
  nowMs: number,
  livesMaxMs: number,
  port?: number,
): boolean {
  if (typeof saved !== 'object' || saved === null) return false
  const { version, leases } = saved as Partial<SavedLeases>
  if (version !== VERSION || !Array.isArray(leases) || leases.length > SAVED_MAX || !leases.every(isSaved)) return false
  table.locked(() => {
    for (const lease of leases) {
      const owner = port ?? lease.port
      if (!fits(networks, lease) || table.isHeld(lease.address, lease.family, nowMs)) continue
      const record = table.place(owner, nowMs)
      if (record < 0) continue
      const livesMs = Math.min(lease.livesMs, livesMaxMs)
      table.write(
        record,
        lease.state,
        { port: owner, client: lease.client },
        lease.family,
        lease.address,
        nowMs,
        livesMs,
        lease.name,
      )
    }
  })
  return true
}

/** The leases of ports as they are saved and restored, one block for each that has any. */
export class PortLeases {
  readonly #id: string
  readonly #name: string
  readonly #table: LeaseTable
  readonly #given = new Set<number>()

  constructor(id: string, name: string, table: LeaseTable) {
    this.#id = id
    this.#name = name
    this.#table = table
  }

  /** OID_SWITCH_NIC_SAVE: the port's block, or nothing (more). */
  next({ portId, saveDataSize }: NicSaveRequest, nowMs: number): OidVerdict {
    if (this.#given.has(portId)) return undefined
    const saved = saveLeases(this.#table, nowMs, portId)
    if (saved.leases.length === 0) return undefined
    const saveData = new TextEncoder().encode(JSON.stringify(saved))
    if (saveData.length > saveDataSize)
      return { status: NdisStatus.bufferTooShort, bytesNeeded: SAVE_DATA_OFFSET + saveData.length }
    this.#given.add(portId)
    const output = { extensionId: this.#id, extensionFriendlyName: this.#name, featureClassId: NO_GUID, saveData } // ES-465
    return { status: NdisStatus.success, output }
  }

  /** OID_SWITCH_NIC_SAVE_COMPLETE. */
  done(portId: number): void {
    this.#given.delete(portId)
  }

  /** OID_SWITCH_NIC_RESTORE: takes what fits; a guest whose lease is not taken gets another. */
  restore(portId: number, saveData: Uint8Array, networks: readonly LabNetwork[], nowMs: number, livesMaxMs: number): void {
    let saved: unknown
    try {
      saved = JSON.parse(new TextDecoder().decode(saveData))
    } catch {
      return
    }
    takeLeases(this.#table, saved, networks, nowMs, livesMaxMs, portId)
  }
}
