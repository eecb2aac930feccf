// Provisioning of properties (spec 7.3, 7.4) and the query of feature status (7.7): issues PORT_PROPERTY_ADD, _UPDATE and _DELETE,
// PROPERTY_ADD, _UPDATE and _DELETE and the feature status queries, and keeps what the stack let pass.
//
// The rule it must not break: an addition, change or deletion counts when its OID completed with success; one that failed leaves the
// stored properties as they were (ES-508).

import { Oid, type OidCompletion, type OidRequest, oidName } from '../../ndis/oids.ts'
import {
  FEATURE_STATUS_CUSTOM,
  type FeatureStatus,
  type FeatureStatusParameters,
  NO_GUID,
  normalizeGuid,
  type PortPropertyParameters,
  type PropertyInfo,
  SERIALIZATION_VERSION_1,
  type SwitchPropertyParameters,
} from '../../ndis/properties.ts'
import type {
  AclProperty,
  BandwidthProperty,
  ExtendedAclProperty,
  IsolationProperty,
  ProtectionProperty,
  RoutingDomainProperty,
  SecurityProperty,
  VlanProperty,
} from '../../ndis/standard-properties.ts'
import { NdisStatus, ndisStatusName } from '../../ndis/status.ts'
import { type Bandwidth, BandwidthAccounts } from './bandwidth.ts'
import { answerEnumeration } from './enumeration.ts'
import type { ImposedPolicy, InForce } from './imposed.ts'
import { ImposedTable } from './imposed-table.ts'
import {
  type DefinedProperty,
  type Definitions,
  isBuiltIn,
  makeProperty,
  PropertyError,
  type PropertyInput,
  type PropertyInstance,
  type PropertySelector,
  type PropertyTypeName,
  propertyText,
} from './property.ts'
import { PropertyStore, SWITCH_SCOPE } from './property-store.ts'

/** Bytes that the answer of a feature status query is offered at first, and may have at the most. */
export const FEATURE_STATUS_BYTES = 4096
export const FEATURE_STATUS_BYTES_MAX = 1 << 20

/** The standard properties of a port that the switch enforces where no extension does. Absent: the default. */
export interface PortPolicy {
  readonly security?: SecurityProperty
  readonly vlan?: VlanProperty
  readonly isolation?: IsolationProperty
  readonly routingDomains?: readonly RoutingDomainProperty[]
  readonly protection?: ProtectionProperty
  readonly acl?: AclProperty
  readonly extendedAcl?: ExtendedAclProperty
  readonly bandwidth?: BandwidthProperty
}

/** How properties reach the stack, the ports and the processors. */
export interface PropertyComponents {
  /** Sends one request down the stack. */
  issue(request: OidRequest): Promise<OidCompletion>
  /** Runs `work` in the order of a port's other operations (SWITCH_SCOPE: of the switch's own). */
  inOrder<T>(scope: number, work: () => Promise<T>): Promise<T>
  /** Name of a port between its PORT_CREATE and PORT_TEARDOWN; undefined otherwise. */
  portName(portId: number): string | undefined
  /** A standard property of a port was added, changed or deleted. Settles when it is in force. */
  enforce(portId: number, policy: PortPolicy): void | Promise<void>
  /** The bandwidth of the switch changed. */
  enforceSwitch(bandwidth: BandwidthProperty | undefined): void
  /** The routing domains of a port changed: its guest is to ask for them again. */
  routingDomainsChanged(portId: number): void
  readonly definitions: Definitions
  newInstanceId(): string
  /** True for a port that only checks settings. */
  isValidationPort(portId: number): boolean
}

/** What a feature status query brought. */
export interface FeatureStatusReport {
  readonly id: string
  /** (major << 8) + minor. */
  readonly version: number
  readonly data: Uint8Array
}

/** Types that have an effect on the data path. */
const enforced: ReadonlySet<PropertyTypeName> = new Set([
  'security',
  'vlan',
  'isolation',
  'routing-domain',
  'protection',
  'acl',
  'extended-acl',
  'bandwidth',
])

const oids = {
  port: { add: Oid.portPropertyAdd, update: Oid.portPropertyUpdate, delete: Oid.portPropertyDelete },
  switch: { add: Oid.switchPropertyAdd, update: Oid.switchPropertyUpdate, delete: Oid.switchPropertyDelete },
} as const

/** The properties of one switch. A scope is a port id, or SWITCH_SCOPE. */
export class PropertyControl {
  readonly #components: PropertyComponents
  readonly #store = new PropertyStore()
  readonly #bandwidth: BandwidthAccounts
  readonly #imposed = new ImposedTable()

  constructor(components: PropertyComponents) {
    this.#components = components
    this.#bandwidth = new BandwidthAccounts(this.#store, (portId) => components.isValidationPort(portId))
  }

  /** What the switch has of bandwidth, and what ports reserved of it. */
  get bandwidth(): Bandwidth {
    return this.#bandwidth.now
  }

  /** The custom properties that the loaded extensions define. */
  get definitions(): readonly DefinedProperty[] {
    return this.#components.definitions()
  }

  /** All properties of a scope, in the order in which they were added. */
  list(scope: number): readonly PropertyInstance[] {
    return this.#store.list(scope)
  }

  /** Adds a property. Throws PropertyError: BAD_PROPERTY, PROPERTY_EXISTS, PROPERTY_VETOED, NO_SUCH_PORT. ES-500, ES-548 */
  async add(scope: number, input: PropertyInput): Promise<PropertyInstance> {
    return this.#inOrder(scope, () => this.addWithin(scope, input))
  }

  /** As `add`, for a caller that runs in the port's order already. */
  async addWithin(scope: number, input: PropertyInput): Promise<PropertyInstance> {
    const property = this.#make(scope, input)
    this.#store.checkNew(scope, property)
    await this.#issue(scope, 'add', property)
    this.#store.add(scope, property)
    await this.#changed(scope, property)
    return property
  }

  /** Changes the value of the instance with the same type, id, version and instance. */
  async update(scope: number, input: PropertyInput): Promise<PropertyInstance> {
    const { definitions } = this.#components
    return this.#inOrder(scope, async () => {
      const before = this.#store.find(scope, input, definitions())
      const property = this.#make(scope, { ...input, instance: before.propertyInstanceId })
      // ES-506, AMB-46
      if (property.propertyVersion !== before.propertyVersion)
        throw new PropertyError(
          'NO_SUCH_PROPERTY',
          `property ${propertyText(before)} has another version: delete it and add it anew to change its version`,
          NdisStatus.invalidParameter,
        )
      await this.#issue(scope, 'update', property)
      this.#store.replace(scope, property)
      await this.#changed(scope, property)
      return property
    })
  }

  /** Deletes a property. Throws PropertyError. */
  async delete(scope: number, selector: PropertySelector): Promise<PropertyInstance> {
    return this.#inOrder(scope, async () => {
      const property = this.#store.find(scope, selector, this.#components.definitions())
      await this.#issue(scope, 'delete', property)
      this.#store.remove(scope, property)
      await this.#changed(scope, property)
      return property
    })
  }

  /** Policies that a network imposes from now on, in the order in which they count. `enforceAgain` brings them into force. */
  impose(policies: readonly ImposedPolicy[]): void {
    this.#imposed.set(policies)
  }

  /** Those that belong to a port. */
  imposedOn(portId: number): readonly ImposedPolicy[] {
    return this.#imposed.of(this.#components.portName(portId) ?? '', this.list(portId))
  }

  /** What is in force at a port: its properties, and what a network imposes on it. */
  inForce(portId: number): readonly InForce[] {
    return this.#imposed.inForce(portId, this.#components.portName(portId) ?? '', this.list(portId))
  }

  /** Brings what is imposed on a port into force; nothing if the port is gone. */
  async enforceAgain(portId: number): Promise<void> {
    if (this.#components.portName(portId) === undefined) return
    await this.#components.inOrder(portId, () => this.enforceWithin(portId))
  }

  /** As `enforceAgain`, for a caller that runs in the port's order already. */
  async enforceWithin(portId: number): Promise<void> {
    if (this.#components.portName(portId) === undefined) return
    await this.#components.enforce(portId, policyOf(this.inForce(portId)))
  }

  /** Forgets the properties of a port that was deleted: they went with it. */
  forget(portId: number): void {
    this.#imposed.forget(portId)
    this.#store.forget(portId)
  }

  /** What the miniport edge answers an enumeration with; undefined for other requests. */
  answer(request: OidRequest): OidCompletion | undefined {
    return answerEnumeration(request, (scope) =>
      this.list(scope)
        .filter(({ type }) => !isBuiltIn(type))
        .map(infoOf),
    )
  }

  /** Asks the stack for the status of a feature. Throws PropertyError NO_SUCH_FEATURE if no extension manages it. ES-556 */
  async featureStatus(scope: number, featureId: string, instance: string = NO_GUID): Promise<FeatureStatusReport> {
    const id = normalizeGuid(featureId)
    const instanceId = normalizeGuid(instance)
    if (id === undefined || instanceId === undefined)
      throw new PropertyError(
        'BAD_PROPERTY',
        `a feature and its instance are named by GUIDs, not "${featureId}"`,
        NdisStatus.invalidData,
      )
    return this.#inOrder(scope, async () => {
      let room = FEATURE_STATUS_BYTES
      for (;;) {
        const { status, output, bytesNeeded = 0 } = await this.#query(scope, id, instanceId, room)
        const short = status === NdisStatus.invalidLength || status === NdisStatus.bufferTooShort // AMB-20
        if (short && bytesNeeded > room && bytesNeeded <= FEATURE_STATUS_BYTES_MAX) {
          room = bytesNeeded
          continue
        }
        if (status !== NdisStatus.success)
          throw new PropertyError(
            'NO_SUCH_FEATURE',
            `the status of feature ${id} can't be had: ${ndisStatusName(status)}`,
            status,
          )
        if (output === undefined)
          throw new PropertyError('NO_SUCH_FEATURE', `no extension knows feature ${id}`, NdisStatus.notSupported)
        const { featureStatusVersion, data } = output as Partial<FeatureStatus>
        if (!(Number.isInteger(featureStatusVersion) && data instanceof Uint8Array && data.length <= room))
          throw new PropertyError('NO_SUCH_FEATURE', `the answer for feature ${id} is no feature status`, NdisStatus.invalidData)
        return { id, version: featureStatusVersion!, data: Uint8Array.from(data) }
      }
    })
  }

  #inOrder<T>(scope: number, work: () => Promise<T>): Promise<T> {
    this.#portName(scope)
    return this.#components.inOrder(scope, work)
  }

  #query(scope: number, featureStatusId: string, featureStatusInstanceId: string, bufferLength: number): Promise<OidCompletion> {
    const payload: FeatureStatusParameters = {
      featureStatusType: FEATURE_STATUS_CUSTOM, // ES-562
      featureStatusId,
      featureStatusInstanceId,
      serializationVersion: SERIALIZATION_VERSION_1,
      bufferLength, // ES-557
    }
    return this.#components.issue(
      scope === SWITCH_SCOPE
        ? { oid: Oid.switchFeatureStatusQuery, type: 'method', payload, room: bufferLength }
        : { oid: Oid.portFeatureStatusQuery, type: 'method', payload: { portId: scope, ...payload }, room: bufferLength },
    )
  }

  #portName(scope: number): string {
    if (scope === SWITCH_SCOPE) return ''
    const name = this.#components.portName(scope)
    if (name !== undefined) return name
    throw new PropertyError('NO_SUCH_PORT', `there is no port ${scope}`, NdisStatus.invalidParameter)
  }

  #make(scope: number, input: PropertyInput): PropertyInstance {
    const { definitions, newInstanceId } = this.#components
    return makeProperty(input, scope === SWITCH_SCOPE ? 'switch' : 'port', definitions(), newInstanceId)
  }

  async #issue(scope: number, change: 'add' | 'update' | 'delete', instance: PropertyInstance): Promise<void> {
    const port = this.#portName(scope)
    if (isBuiltIn(instance.type)) {
      if (instance.type === 'bandwidth' && change !== 'delete')
        this.#bandwidth.check(scope, instance.property as BandwidthProperty, port)
      return // ES-253
    }
    const { propertyType, propertyId, propertyInstanceId, propertyVersion, property } = instance
    const identity = { propertyType, propertyId, propertyInstanceId }
    const parameters: Omit<SwitchPropertyParameters, 'property'> & { property?: unknown } = {
      ...identity,
      propertyVersion,
      serializationVersion: SERIALIZATION_VERSION_1,
      property,
    }
    const content = change === 'delete' ? identity : parameters
    const oid = oids[scope === SWITCH_SCOPE ? 'switch' : 'port'][change]
    const payload = scope === SWITCH_SCOPE ? content : ({ portId: scope, ...content } as PortPropertyParameters)
    const completion = await this.#components.issue({ oid, type: 'set', payload })
    if (completion.status === NdisStatus.success) return
    const { status, by } = completion
    // ES-517
    throw new PropertyError(
      'PROPERTY_VETOED',
      `${by === undefined ? 'an extension' : `extension "${by}"`} refused property ${propertyText(instance)}${port === '' ? '' : ` of port "${port}"`} (${oidName(oid)}: ${ndisStatusName(status)})`,
      status,
    )
  }

  async #changed(scope: number, { type }: PropertyInstance): Promise<void> {
    if (scope === SWITCH_SCOPE) {
      if (type === 'bandwidth') this.#components.enforceSwitch(this.#bandwidth.ofSwitch)
      return
    }
    if (enforced.has(type)) await this.enforceWithin(scope)
    if (type === 'routing-domain') this.#components.routingDomainsChanged(scope) // ES-545
  }
}

const infoOf = ({ propertyType, propertyId, propertyVersion, propertyInstanceId, property }: PropertyInstance): PropertyInfo => ({
  propertyType,
  propertyId,
  propertyVersion,
  propertyInstanceId,
  property,
})

/** The standard properties among `properties` that the switch enforces. */
export function policyOf(properties: readonly InForce[]): PortPolicy {
  const policy: { -readonly [Part in keyof PortPolicy]: PortPolicy[Part] } = {}
  const routingDomains: RoutingDomainProperty[] = []
  for (const { type, property } of properties) {
    if (type === 'security') policy.security = property as SecurityProperty
    else if (type === 'vlan') policy.vlan = property as VlanProperty
    else if (type === 'isolation') policy.isolation = property as IsolationProperty
    else if (type === 'protection') policy.protection = property as ProtectionProperty
    else if (type === 'acl') policy.acl = property as AclProperty
    else if (type === 'extended-acl') policy.extendedAcl = property as ExtendedAclProperty
    else if (type === 'bandwidth') policy.bandwidth = property as BandwidthProperty
    else if (type === 'routing-domain') routingDomains.push(property as RoutingDomainProperty)
  }
  if (routingDomains.length > 0) policy.routingDomains = routingDomains
  return policy
}
