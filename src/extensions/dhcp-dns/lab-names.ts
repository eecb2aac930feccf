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
    const own = options.networks.flatMap(({ ipv4, ipv6 }) => [
      ...(ipv4 ? [formatIpv4(ipv4.address)] : []),
      ...(ipv6 ? [formatIpv6(ipv6.address)] : []),
    ])
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

  /** The VM at a port has its name as well, unless somebody has it already. */
  addVm(portId: number, vmName: string): void {
    const label = labelOf(vmName)
    if (label === '' || this.#fixed.has(label) || this.#ports.has(label)) return
    this.#ports.set(label, portId)
    if (!this.#labels.has(portId)) this.#labels.set(portId, label)
  }

  removePort(portId: number): void {
    for (const [label, port] of this.#ports) if (port === portId) this.#ports.delete(label)
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

  /** Addresses of a name within the domain, as text; undefined if nobody has it. */
  addresses(label: string, nowMs: number): readonly string[] | undefined {
    const fixed = this.#fixed.get(label)
    if (fixed) return fixed
    if (label.includes('.')) return this.#wild(label)
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

  // RFC 4592: `*.apps` stands for all that is below apps, however deep.
  #wild(name: string): readonly string[] | undefined {
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      const found = this.#fixed.get(`*${name.slice(dot)}`)
      if (found) return found
    }
    return undefined
  }

  /** Whether there are names below one that nobody has: it is there then, without addresses. */
  isAbove(name: string): boolean {
    for (const fixed of this.#fixed.keys()) if (fixed.endsWith(`.${name}`)) return true
    return false
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
