// The properties of a running switch: connects their provisioning with the control side, the port table and the loaded extensions.
import { randomUUID } from 'node:crypto'
import { type InnerStatusIndication, type OidRequest, PortType } from '../ndis/oids.ts'
import { formatIpv4, formatIpv6, IPV6_BYTES } from '../packet/addresses.ts'
import type { PortOptions, SwitchControl } from '../switch/control.ts'
import type { ImposedPolicy, InForce } from '../switch/policies/imposed.ts'
import { type AdapterCompletion, answerGuest, ISOLATION_PARAMETERS_CHANGE } from '../switch/policies/isolation-parameters.ts'
import { applyPolicy } from '../switch/policies/port-effects.ts'
import type { DefinedProperty, PropertyInput, PropertyInstance, PropertySelector } from '../switch/policies/property.ts'
import { type FeatureStatusReport, PropertyControl } from '../switch/policies/property-control.ts'
import { SWITCH_SCOPE } from '../switch/policies/property-store.ts'
import type { PortTable } from '../switch/port-table.ts'
import { linkSpeedOf } from './link-speed.ts'
import { SwitchAcls, type SwitchAclsComponents } from './switch-acls.ts'
import type { SwitchConnections } from './switch-connections.ts'

export interface PolicyComponents {
  readonly control: () => SwitchControl
  readonly table: PortTable
  readonly definitions: () => readonly DefinedProperty[]
  /** The adapter of a VM indicates a status to its guest. */
  readonly indicated: (portId: number, status: InnerStatusIndication) => void
  /** What the properties of a port say is in force. */
  readonly enforced: (portId: number) => void
  readonly processors: SwitchAclsComponents['processors']
  /** What stateful rules let through. */
  readonly connections: SwitchConnections
  readonly memory: SwitchAclsComponents['memory']
  /** What a network imposes on ports from their first frame on. */
  readonly imposed?: readonly ImposedPolicy[] | undefined
}

/** The properties of one switch; ports are named by their ids, undefined is the switch. */
export class SwitchPolicies {
  readonly properties: PropertyControl
  readonly acls: SwitchAcls
  readonly connections: SwitchConnections
  readonly #table: PortTable
  /** Properties of ports that are being created, by the port's name. */
  readonly #download = new Map<string, readonly PropertyInput[]>()
  /** Of each port, whether it may send from other addresses where no security property says so. */
  readonly #macSpoofing = new Map<number, boolean>()
  #switchQueue: Promise<unknown> = Promise.resolve()

  constructor(components: PolicyComponents) {
    const { control, table, definitions, indicated, enforced, processors, connections, memory } = components
    this.#table = table
    this.acls = new SwitchAcls({ processors, connections, memory })
    this.connections = connections
    this.properties = new PropertyControl({
      issue: (request) => control().issue(request),
      inOrder: (scope, work) => (scope === SWITCH_SCOPE ? this.#inSwitchOrder(work) : control().during([scope], work)),
      portName: (id) => (control().view.port(id)?.portState === 1 ? control().portName(id) : undefined),
      enforce: (portId, policy) => {
        applyPolicy(table, portId, policy)
        const configured = this.#macSpoofing.get(portId) ?? false
        control().setSecurity(portId, {
          macSpoofing: policy.security?.allowMacSpoofing ?? configured,
          teaming: policy.security?.allowTeaming ?? false,
        })
        enforced(portId)
        return this.acls.apply(portId, policy)
      },
      enforceSwitch: (bandwidth) => table.bandwidth.setSwitch(bandwidth),
      routingDomainsChanged: (portId) => indicated(portId, { statusCode: ISOLATION_PARAMETERS_CHANGE, statusBuffer: null }),
      definitions,
      newInstanceId: randomUUID,
      isValidationPort: (id) => control().view.port(id)?.isValidationPort ?? false,
    })
    this.properties.impose(components.imposed ?? [])
  }

  #inSwitchOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#switchQueue.then(work)
    this.#switchQueue = result.catch(() => undefined)
    return result
  }

  /** Runs `create`, which creates port `name`: its properties are downloaded between PORT_CREATE and NIC_CREATE. ES-149 */
  async creating<T>(name: string, properties: readonly PropertyInput[], create: () => Promise<T>): Promise<T> {
    this.#download.set(name, properties)
    try {
      return await create()
    } finally {
      this.#download.delete(name)
    }
  }

  /** The port of this name was created: downloads its properties. A veto undoes the port. */
  async portCreated(portId: number, options: PortOptions): Promise<void> {
    const { name, macSpoofing, type, physicalNics, isValidationPort } = options
    if (type === PortType.external && !isValidationPort) this.#table.bandwidth.setUplink(portId, linkSpeedOf(physicalNics ?? []))
    this.#macSpoofing.set(portId, macSpoofing)
    for (const property of this.#download.get(name) ?? []) await this.properties.addWithin(portId, property)
    if (this.properties.imposedOn(portId).length > 0) await this.properties.enforceWithin(portId)
  }

  /** Policies that a network imposes from now on, in the order in which they count. Settles when they are in force at all ports that there are. */
  async impose(policies: readonly ImposedPolicy[]): Promise<void> {
    const ids = [...this.#macSpoofing.keys()]
    const before = new Map(ids.map((id) => [id, this.imposedOn(id)]))
    this.properties.impose(policies)
    for (const id of ids) {
      const now = this.imposedOn(id)
      const was = before.get(id) ?? []
      if (now.length !== was.length || now.some((policy, i) => policy !== was[i])) await this.properties.enforceAgain(id)
    }
  }

  imposedOn(port: number): readonly ImposedPolicy[] {
    return this.properties.imposedOn(port)
  }

  /** What is in force at a port: its properties, and what a network imposes on it. */
  inForce(port: number): readonly InForce[] {
    return this.properties.inForce(port)
  }

  /** A port is gone, and its properties with it. */
  forget(portId: number): void {
    this.#macSpoofing.delete(portId)
    this.acls.forget(portId)
    this.connections.forget(portId)
    this.properties.forget(portId)
  }

  /** The custom properties that the loaded extensions define. */
  definitions(): readonly DefinedProperty[] {
    return this.properties.definitions
  }

  list(port: number | undefined): readonly PropertyInstance[] {
    return this.properties.list(port ?? SWITCH_SCOPE)
  }

  add(port: number | undefined, input: PropertyInput): Promise<PropertyInstance> {
    return this.properties.add(port ?? SWITCH_SCOPE, input)
  }

  update(port: number | undefined, input: PropertyInput): Promise<PropertyInstance> {
    return this.properties.update(port ?? SWITCH_SCOPE, input)
  }

  delete(port: number | undefined, selector: PropertySelector): Promise<PropertyInstance> {
    return this.properties.delete(port ?? SWITCH_SCOPE, selector)
  }

  featureStatus(port: number | undefined, feature: string, instance: string | undefined): Promise<FeatureStatusReport> {
    return this.properties.featureStatus(port ?? SWITCH_SCOPE, feature, instance)
  }

  /** IP addresses that were learned of a port whose security property has a dynamicIpAddressLimit. ES-530 */
  ipAddresses(port: number): string[] {
    const ipv4 = this.#table.ipAddresses(port).map((address) => formatIpv4(address >>> 0))
    const ipv6 = this.#table.ipv6Addresses(port).map((words) => {
      const octets = Buffer.alloc(IPV6_BYTES)
      for (const [i, word] of words.entries()) octets.writeInt32BE(word, i * 4)
      return formatIpv6(octets)
    })
    return [...ipv4, ...ipv6]
  }

  /** A request of the guest behind a port to its adapter: OID_GEN_ISOLATION_PARAMETERS. ES-543, ES-544 */
  guestRequest(port: number, request: Pick<OidRequest, 'oid' | 'type' | 'room'>): AdapterCompletion {
    return answerGuest(request, this.list(port))
  }

  /** Takes back what changed of a scope's properties since it had `before`; what an extension refuses to take back stays. */
  async revert(port: number | undefined, before: readonly PropertyInstance[]): Promise<void> {
    for (const now of this.list(port).toReversed()) {
      const { type, propertyId, propertyInstanceId: instance, value } = now
      const selector = { type, instance, ...(type === 'custom' ? { id: propertyId } : {}) }
      const was = before.find((one) => one.propertyInstanceId === instance && one.type === type && one.propertyId === propertyId)
      const refused = (): undefined => undefined
      if (!was) await this.delete(port, selector).catch(refused)
      else if (was.value !== value) await this.update(port, { ...selector, value: was.value }).catch(refused)
    }
  }

  /** Makes the properties of a scope those of `saved`: adds what is missing, changes what differs. */
  async restore(port: number | undefined, saved: readonly PropertyInput[]): Promise<void> {
    for (const property of saved) {
      const present = this.list(port).find(
        ({ type, propertyId, propertyInstanceId }) =>
          type === property.type &&
          (type !== 'custom' || (propertyId === property.id && propertyInstanceId === property.instance)),
      )
      if (!present) await this.add(port, property)
      else if (JSON.stringify(present.value) !== JSON.stringify(property.value))
        await this.update(port, { ...property, instance: present.propertyInstanceId })
    }
  }
}
