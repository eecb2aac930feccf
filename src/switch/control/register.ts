// The ports of a switch by id and by name, and which ids are free.
import { SwitchControlError } from './errors.ts'
import { isVmNic, type PortOptions, PortRecord } from './records.ts'

export class PortRegister {
  readonly #switchName: string
  readonly #limit: number
  readonly #ports = new Map<number, PortRecord>()
  readonly #names = new Set<string>()
  /** Numbers of VMs, from 1, by name. */
  readonly #vms = new Map<string, number>()
  #lastId = 0

  /** Ids are 1…limit-1: they fit the 16 bits of the forwarding detail (AMB-37). */
  constructor(switchName: string, limit: number) {
    this.#switchName = switchName
    this.#limit = limit
  }

  /** Takes an id and a name for a new port, once `check` has let it pass. Both are unique in the switch. ES-009, ES-104 */
  reserve(options: PortOptions, check: (port: PortRecord) => void): PortRecord {
    if (this.#names.has(options.name))
      throw new SwitchControlError(
        'NAME_IN_USE',
        `switch "${this.#switchName}" already has a port "${options.name}"; port names are unique`,
      )
    const id = this.#freeId()
    const port = new PortRecord(id, options)
    check(port)
    this.#lastId = id
    this.#ports.set(id, port)
    this.#names.add(options.name)
    return port
  }

  // The next one after the last: an id is used again as late as possible.
  #freeId(): number {
    for (let tried = 1; tried < this.#limit; tried++) {
      const id = ((this.#lastId + tried - 1) % (this.#limit - 1)) + 1
      if (!this.#ports.has(id)) return id
    }
    throw new SwitchControlError('TOO_MANY_PORTS', `switch "${this.#switchName}" has its ${this.#limit - 1} ports`)
  }

  /** A number for the VM whose adapter is on a port; 0 for adapters of the host. */
  vmOf({ options }: PortRecord): number {
    if (!isVmNic(options.nicType)) return 0
    const known = this.#vms.get(options.vmName) ?? this.#vms.size + 1
    this.#vms.set(options.vmName, known)
    return known
  }

  release(port: PortRecord): void {
    this.#ports.delete(port.id)
    this.#names.delete(port.name)
  }

  find(id: number): PortRecord | undefined {
    return this.#ports.get(id)
  }

  get(id: number): PortRecord {
    const port = this.#ports.get(id)
    if (!port) throw new SwitchControlError('NO_SUCH_PORT', `switch "${this.#switchName}" has no port ${id}`)
    return port
  }

  values(): Iterable<PortRecord> {
    return this.#ports.values()
  }
}
