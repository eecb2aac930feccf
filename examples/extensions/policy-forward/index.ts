// A forwarding extension with a policy of its own for each port, as the published samples have one: it forwards by the addresses of
// connections, lets ports talk within their group only, vetoes what it can't serve, answers for its status, and takes its run-time
// data along when a connection is saved or moves.
//
// The group of a port is a custom property: `properties: [{ id: policy-forward-group, value: { group: 3 } }]` on the port.
import type {
  Batch,
  NicParameters,
  NicRestoreState,
  NicSaveRequest,
  OidCompletion,
  OidRequest,
  PortFeatureStatusParameters,
  PortParameters,
  PortPropertyParameters,
  PropertyEnumeration,
  SwitchHandle,
  SwitchParameters,
} from 'vmswitch/extension'
import { defineExtension, NdisStatus, NO_GUID, Oid, PortPropertyType, SAVE_DATA_OFFSET } from 'vmswitch/extension'
import { PORTS_MAX, PortRecords, RECORDS_BYTES } from './port-records.ts'

const ID = 'e0b7a1c4-58d1-4a3b-9d51-2f6c0e4b7a33'
const GROUP_PROPERTY = 'e0b7a1c4-58d1-4a3b-9d51-2f6c0e4b7a34'
const FRAMES_STATUS = 'e0b7a1c4-58d1-4a3b-9d51-2f6c0e4b7a35'
const VERSION_1 = 0x0100
const GROUPS_MAX = 4095
/** Run-time data of a connection: the frames that it sent, big-endian. */
const SAVED_BYTES = 4

const done: OidCompletion = { status: NdisStatus.success, supportedRevision: 1 } // ES-070
const refused: OidCompletion = { status: NdisStatus.dataNotAccepted }

class PolicyForward {
  readonly #sw: SwitchHandle
  readonly #records: PortRecords
  readonly #noDestination: number
  readonly #otherGroup: number
  readonly #hairpin: number
  readonly #saved = new Set<number>()

  constructor(sw: SwitchHandle) {
    this.#sw = sw
    this.#records = new PortRecords(sw.shared('ports'))
    this.#noDestination = sw.registerReason('policy-forward: no destination')
    this.#otherGroup = sw.registerReason('policy-forward: other group')
    this.#hairpin = sw.registerReason('policy-forward: destination is the source')
    if (sw.processor === 0) for (const nic of sw.nics()) this.#records.connect(nic)
  }

  // ---- data path ---------------------------------------------------------------------------------------------------------------

  ingress(batch: Batch): void {
    const records = this.#records
    records.refresh()
    for (let i = 0; i < batch.length; i++) {
      if (batch.isNativeForwardingRequired(i)) continue // the switch forwards it itself (ES-566)
      const source = batch.sourcePortId(i)
      if (source !== 0) records.countFrame(source)
      if (batch.isMulticast(i)) {
        if (!this.#flood(batch, i, source)) batch.drop(i, this.#noDestination) // ES-317
        continue
      }
      const target = records.find(batch.destinationMacHigh(i), batch.destinationMacLow(i)) || records.external
      if (target === source && target !== 0) batch.drop(i, this.#hairpin)
      else if (target === 0 || !records.isConnected(target)) batch.drop(i, this.#noDestination)
      else if (!this.#mayTalk(source, target)) batch.drop(i, this.#otherGroup)
      else if (!batch.addDestination(i, target, records.nicIndex(target))) batch.drop(i, this.#noDestination)
    }
  }

  #flood(batch: Batch, i: number, source: number): boolean {
    const { connected, connectedCount } = this.#records
    let added = false
    for (let n = 0; n < connectedCount; n++) {
      const port = connected[n]!
      if (port === source || !this.#records.isConnected(port) || !this.#mayTalk(source, port)) continue
      added = batch.addDestination(i, port, this.#records.nicIndex(port)) || added
    }
    return added
  }

  // What an extension sent of its own has no group: it goes everywhere.
  #mayTalk(source: number, target: number): boolean {
    return source === 0 || this.#records.group(source) === this.#records.group(target)
  }

  // ---- control path, on processor 0 ----------------------------------------------------------------------------------------------

  oid({ oid, payload }: OidRequest): OidCompletion | undefined {
    switch (oid) {
      case Oid.portCreate:
        return (payload as PortParameters).portId < PORTS_MAX ? undefined : { status: NdisStatus.resources }
      case Oid.nicCreate:
        return this.#createNic(payload as NicParameters)
      case Oid.nicDisconnect:
        this.#records.disconnect(payload as NicParameters) // before it goes on (ES-320)
        return undefined
      case Oid.portTeardown:
        this.#records.forget((payload as PortParameters).portId)
        return undefined
      case Oid.portPropertyAdd:
      case Oid.portPropertyUpdate:
        return this.#setProperty(payload as PortPropertyParameters)
      case Oid.portPropertyDelete:
        return this.#deleteProperty(payload as PortPropertyParameters)
      case Oid.portFeatureStatusQuery:
        return this.#status(payload as PortFeatureStatusParameters)
      case Oid.nicSave:
        return this.#save(payload as NicSaveRequest)
      case Oid.nicSaveComplete:
        this.#saved.delete((payload as NicSaveRequest).portId)
        return undefined
      case Oid.nicRestore:
        return this.#restore(payload as NicRestoreState)
      default:
        return undefined
    }
  }

  oidComplete({ oid, payload }: OidRequest, { status }: OidCompletion): void {
    if (status === NdisStatus.success && (oid === Oid.nicConnect || oid === Oid.nicUpdated))
      this.#records.connect(payload as NicParameters)
  }

  // Forwarding by address needs each of them once; only index 0 may be vetoed (ES-180).
  #createNic(nic: NicParameters): OidCompletion | undefined {
    const needed = nic.nicIndex === 0 && nic.currentMacAddress !== ''
    return needed && this.#records.isTaken(nic) ? refused : undefined
  }

  #setProperty({
    portId,
    propertyType,
    propertyId,
    propertyVersion,
    property,
  }: PortPropertyParameters): OidCompletion | undefined {
    if (propertyType === PortPropertyType.vlan) return refused // it does not separate VLANs (ES-499)
    if (propertyType !== PortPropertyType.custom || propertyId !== GROUP_PROPERTY) return undefined // ES-514
    if (propertyVersion !== VERSION_1) return { status: NdisStatus.invalidParameter }
    this.#records.setGroup(portId, (property as { group: number }).group)
    return done // a forwarding extension completes what it handled (ES-513)
  }

  #deleteProperty({ portId, propertyId }: PortPropertyParameters): OidCompletion | undefined {
    if (propertyId !== GROUP_PROPERTY) return undefined
    this.#records.setGroup(portId, 0)
    return done
  }

  #status({ portId, featureStatusId, bufferLength }: PortFeatureStatusParameters): OidCompletion | undefined {
    if (featureStatusId !== FRAMES_STATUS) return undefined // ES-560
    if (bufferLength < SAVED_BYTES) return { status: NdisStatus.invalidLength, bytesNeeded: SAVED_BYTES } // ES-559
    return { status: NdisStatus.success, output: { featureStatusVersion: VERSION_1, data: this.#framesOf(portId) } }
  }

  #framesOf(portId: number): Uint8Array {
    const data = new Uint8Array(SAVED_BYTES)
    new DataView(data.buffer).setUint32(0, this.#records.frames(portId))
    return data
  }

  // One block per connection; asked again, there is nothing more (ES-463, ES-469).
  #save({ portId, saveDataSize }: NicSaveRequest): OidCompletion | undefined {
    if (this.#saved.has(portId)) return undefined
    if (saveDataSize < SAVED_BYTES) return { status: NdisStatus.bufferTooShort, bytesNeeded: SAVE_DATA_OFFSET + SAVED_BYTES }
    this.#saved.add(portId)
    const block = {
      extensionId: ID, // ES-465
      extensionFriendlyName: 'policy-forward',
      featureClassId: NO_GUID,
      saveData: this.#framesOf(portId),
    }
    return { status: NdisStatus.success, output: block }
  }

  #restore({ portId, extensionId, saveData }: NicRestoreState): OidCompletion | undefined {
    if (extensionId !== ID) return undefined // ES-482
    if (saveData.length !== SAVED_BYTES) return { status: NdisStatus.invalidData }
    this.#records.setFrames(portId, new DataView(saveData.buffer, saveData.byteOffset).getUint32(0)) // the new port id (ES-483)
    return { status: NdisStatus.success }
  }

  /** Finds the groups of ports that are older than this module: no ADD is repeated for it. */
  async discover(): Promise<void> {
    const { output } = await this.#sw.query(Oid.switchParameters) // ES-073
    if (!(output as SwitchParameters).isActive) return
    for (const { portId } of this.#sw.ports()) {
      if (this.#sw.referencePort(portId) !== NdisStatus.success) continue // ES-141
      try {
        const asked = { portId, propertyType: PortPropertyType.custom, propertyId: GROUP_PROPERTY }
        const found = await this.#sw.query(Oid.portPropertyEnum, asked)
        const [property] = (found.output as PropertyEnumeration | undefined)?.properties ?? []
        if (property) this.#records.setGroup(portId, (property.property as { group: number }).group)
      } finally {
        this.#sw.dereferencePort(portId) // ES-142
      }
    }
  }
}

export default defineExtension({
  id: ID,
  name: 'policy-forward',
  version: '1.0.0',
  class: 'forwarding',
  description: 'Forwards by address, within groups of ports',
  shared: () => ({ ports: RECORDS_BYTES }),
  properties: {
    [GROUP_PROPERTY]: {
      name: 'policy-forward-group',
      version: '1.0',
      scope: 'port',
      parse(raw) {
        const group = (raw as { group?: unknown } | null)?.group
        if (typeof group !== 'number' || !Number.isInteger(group) || group < 0 || group > GROUPS_MAX)
          throw new Error(`write { group: N } with N from 0 (none) to ${GROUPS_MAX}`)
        return { group }
      },
    },
  },
  attach(sw) {
    const extension = new PolicyForward(sw)
    const path = { ingress: (batch: Batch): void => extension.ingress(batch) }
    if (sw.processor !== 0) return path // the instance on processor 0 answers for all
    return {
      ...path,
      oid: (request) => extension.oid(request),
      oidComplete: (request, completion) => extension.oidComplete(request, completion),
      restart: () => extension.discover(),
    }
  },
})
