// Who is called what in the lab: the names of ports, of static leases and of the configuration come first; what a guest calls itself counts only
// if nobody else has that name.
//
// The rule it must not break: no guest takes the name of another VM, of the server or of the configuration.
import { formatIpv4, formatIpv6 } from '../../extension.ts'
import type { Lease, LeaseTable } from './leases.ts'
import { LeaseState } from './leases.ts'
import type { DhcpDnsOptions } from './options.ts'

/** A label of letters, digits and hyphens from any text; '' if nothing is left. */
export function labelOf(text: string): string {
  const label = text
    .toLowerCase()
    .split('.')[0]!
    .replace(/[^a-z0-9-]/g, '-')
    .slice(0, 63)
  return label.replace(/^-+|-+$/g, '')
}

/** The address of a lease as text. */
export function leaseAddress({ family, address }: Lease): string {
  if (family === 4) return formatIpv4(address[3]!)
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  for (let k = 0; k < 4; k++) view.setUint32(k * 4, address[k]!)
  return formatIpv6(bytes)
}

export class LabNames {
  readonly #options: DhcpDnsOptions
  readonly #leases: LeaseTable
  /** Port ids by label, and labels by port id. */
  readonly #ports = new Map<string, number>()
  readonly #labels = new Map<number, string>()
  readonly #fixed = new Map<string, readonly string[]>()
  readonly #ofPort: (name: string) => string

  constructor(options: DhcpDnsOptions, leases: LeaseTable) {
    this.#options = options
    this.#leases = leases
    const own = [
      ...(options.ipv4 ? [formatIpv4(options.ipv4.address)] : []),
      ...(options.ipv6 ? [formatIpv6(options.ipv6.address)] : []),
    ]
    for (const { name, addresses } of options.names) this.#fixed.set(name, addresses)
    this.#fixed.set(options.name, own)
    const named = new Map(options.statics.flatMap(({ port, name }) => (port && name ? [[port, name] as const] : [])))
    this.#ofPort = (name) => named.get(name) ?? labelOf(name)
  }

  addPort(portId: number, portName: string): void {
    const label = this.#ofPort(portName)
    if (label === '' || this.#fixed.has(label) || this.#ports.has(label)) return
    this.#ports.set(label, portId)
    this.#labels.set(portId, label)
  }

  removePort(portId: number): void {
    const label = this.#labels.get(portId)
    if (label !== undefined) this.#ports.delete(label)
    this.#labels.delete(portId)
  }

  labelOfPort(portId: number): string | undefined {
    return this.#labels.get(portId)
  }

  /** What a guest at `port` that calls itself `asked` is called: its own port's name where it may not have what it asks for. */
  claim(port: number, asked: string, nowMs: number): string {
    const label = labelOf(asked)
    if (label === '') return ''
    const holder = this.#ports.get(label)
    if (holder === port) return '' // it has that name already
    if (holder !== undefined || this.#fixed.has(label) || this.#options.statics.some(({ name }) => name === label)) return ''
    for (const lease of this.#leases.live(nowMs)) if (lease.name === label && lease.port !== port) return ''
    return label
  }

  /** Addresses of a name of one label, as text; undefined if nobody has it. */
  addresses(label: string, nowMs: number): readonly string[] | undefined {
    const fixed = this.#fixed.get(label)
    if (fixed) return fixed
    const port = this.#ports.get(label)
    const found: string[] = []
    let isKnown = port !== undefined
    for (const lease of this.#leases.live(nowMs)) {
      if (lease.state !== LeaseState.bound && lease.state !== LeaseState.learned) continue
      if (lease.port !== port && lease.name !== label) continue
      isKnown = true
      found.push(leaseAddress(lease))
    }
    return isKnown ? found : undefined
  }

  /** The label that an address has, as far as anybody. */
  nameOf(address: string, nowMs: number): string | undefined {
    for (const [name, addresses] of this.#fixed) if (addresses.includes(address)) return name
    for (const lease of this.#leases.live(nowMs)) {
      if (lease.state === LeaseState.declined || lease.state === LeaseState.offered || leaseAddress(lease) !== address) continue
      const name = lease.name === '' ? this.#labels.get(lease.port) : lease.name
      if (name !== undefined) return name
    }
    return undefined
  }
}
