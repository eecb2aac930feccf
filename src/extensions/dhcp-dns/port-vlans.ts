// Which VLAN a guest without tags of its own is in: that of its port's VLAN property. An answer to it goes into that VLAN, for the switch delivers it
// nowhere else.
//
// The rule it must not break: it follows the property as it was set last, one that is older than the module too.
import {
  inVlanRanges,
  NdisStatus,
  Oid,
  type OidCompletion,
  type OidRequest,
  type PortParameters,
  type PortPropertyDeleteParameters,
  type PortPropertyParameters,
  PortPropertyType,
  type PropertyEnumeration,
  type SwitchHandle,
  type VlanProperty,
} from '../../extension.ts'

const PORT_IDS = 65_536

const vlanOf = (property: VlanProperty): number =>
  property.mode === 'access' ? property.accessVlanId : property.mode === 'trunk' ? property.nativeVlanId : property.primaryVlanId

export class PortVlans {
  /** By port id; 0: none. */
  readonly of = new Uint16Array(PORT_IDS)
  readonly #trunks = new Map<number, VlanProperty>()

  /** Whether guests of a port may be in a VLAN by tags of their own. */
  isTagged(port: number, vlan: number): boolean {
    const property = this.#trunks.get(port)
    return property?.mode === 'trunk' && vlan !== property.nativeVlanId && inVlanRanges(property.trunkVlanIds, vlan)
  }

  #set(port: number, property: VlanProperty | undefined): void {
    if (port <= 0 || port >= PORT_IDS) return
    this.of[port] = property === undefined ? 0 : vlanOf(property)
    if (property?.mode === 'trunk') this.#trunks.set(port, property)
    else this.#trunks.delete(port)
  }

  /** A request that has completed. */
  completed({ oid, payload }: OidRequest, { status }: OidCompletion): void {
    if (status !== NdisStatus.success) return
    if (oid === Oid.portDelete) this.#set((payload as PortParameters).portId, undefined)
    const isSet = oid === Oid.portPropertyAdd || oid === Oid.portPropertyUpdate
    if (!isSet && oid !== Oid.portPropertyDelete) return
    const { portId, propertyType } = payload as PortPropertyDeleteParameters
    if (propertyType !== PortPropertyType.vlan) return
    this.#set(portId, isSet ? ((payload as PortPropertyParameters).property as VlanProperty) : undefined)
  }

  /** Reads what was set before the module came. */
  async discover(sw: SwitchHandle): Promise<void> {
    await sw.query(Oid.switchParameters) // ES-073
    for (const { portId } of sw.ports()) {
      if (sw.referencePort(portId) !== NdisStatus.success) continue // ES-141
      const { output } = await sw.query(Oid.portPropertyEnum, { portId, propertyType: PortPropertyType.vlan })
      const [found] = (output as PropertyEnumeration | undefined)?.properties ?? []
      if (found) this.#set(portId, found.property as VlanProperty)
      sw.dereferencePort(portId) // ES-142
    }
  }
}
