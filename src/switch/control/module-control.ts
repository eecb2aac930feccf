// The control half of a module's handle: references, requests and status indications of its own, each checked against what its class
// and the state of what it names allow.
//
// The rule it must not break: what is refused changes nothing and goes nowhere; the module learns it from the status and is reported
// under the rule's number.
import type { ControlHandle, ExtensionClass } from '../../extension.ts'
import { innerOidRule, isMulticastOid } from '../../ndis/inner-oids.ts'
import { oidRule } from '../../ndis/oid-rules.ts'
import {
  DEFAULT_NIC_INDEX,
  DEFAULT_PORT_ID,
  type NicOidRequest,
  NicState,
  type NicStatusIndication,
  Oid,
  type OidCompletion,
  type OidRequest,
  oidName,
  PHYSICAL_NICS_MAX,
  StatusIndication,
} from '../../ndis/oids.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { OwnOffloads } from './own-offloads.ts'
import { type ModuleReferences, PORT_ITSELF } from './references.ts'
import type { ConfigurationView } from './view.ts'

export interface ModuleControlComponents {
  readonly class: ExtensionClass
  readonly references: ModuleReferences
  readonly view: ConfigurationView
  /** False while the module attaches and once it is detached or failed. */
  readonly ready: () => boolean
  /** Carries a request through the modules below. */
  readonly originate: (request: OidRequest) => Promise<OidCompletion>
  /** Carries an indication through the modules above. */
  readonly indicate: (indication: NicStatusIndication) => void
  /** The request that the module is handling now. */
  readonly handling: () => OidRequest | undefined
  readonly breach: (rule: string, what: string) => void
}

/** Queries that need an active switch, by the rule that says so. */
const needActive: ReadonlyMap<number, string> = new Map([
  [Oid.nicArray, 'ES-079'],
  [Oid.portArray, 'ES-080'],
  [Oid.portPropertyEnum, 'ES-081'],
  [Oid.switchPropertyEnum, 'ES-082'],
])

export class ModuleControl implements ControlHandle {
  readonly #components: ModuleControlComponents
  readonly #offloads = new OwnOffloads()
  #asked = false

  constructor(components: ModuleControlComponents) {
    this.#components = components
  }

  query(oid: number, input?: unknown, room?: number): Promise<OidCompletion> {
    const type = oidRule(oid)?.type ?? 'query'
    return this.request({ oid, type, payload: input, ...(room === undefined ? {} : { room }) })
  }

  async request(request: OidRequest): Promise<OidCompletion> {
    const refused = this.#refusal(request)
    if (refused !== undefined) return { status: refused }
    const own: OidRequest = { ...request, type: oidRule(request.oid)!.type }
    const completion = await this.#components.originate(own)
    if (request.oid === Oid.nicRequest) this.#nicRequestEnded(request.payload as NicOidRequest, completion.status)
    return completion
  }

  #refuse(rule: string, what: string, status: number): number {
    this.#components.breach(rule, what)
    return status
  }

  // The status of a request that may not be issued, or undefined.
  #refusal({ oid, payload }: OidRequest): number | undefined {
    const { ready, view, references } = this.#components
    const name = oidName(oid)
    if (!ready()) return this.#refuse('ES-053', `issued ${name} while it was not attached`, NdisStatus.failure)
    const rule = oidRule(oid)
    if (!rule) return this.#refuse('ES-252', `issued ${name}`, NdisStatus.invalidOid)
    if (rule.by === 'edge')
      return this.#refuse(rule.issue, `issued ${name}, which only the switch issues`, NdisStatus.notSupported)
    if (oid === Oid.switchParameters) {
      this.#asked = true
      return undefined
    }
    const active = needActive.get(oid)
    if (active !== undefined) {
      if (!this.#asked) this.#refuse('ES-073', `issued ${name} before OID_SWITCH_PARAMETERS`, 0)
      this.#asked = true
      if (!view.parameters.isActive)
        return this.#refuse(active, `issued ${name} before the switch was active (ES-074)`, NdisStatus.failure)
    }
    if (oid === Oid.portPropertyEnum) {
      const portId = (payload as { portId?: number } | undefined)?.portId ?? DEFAULT_PORT_ID
      if (references.held(portId, PORT_ITSELF) === 0)
        return this.#refuse('ES-141', `issued ${name} for port ${portId} without a reference on it`, NdisStatus.failure)
    }
    return oid === Oid.nicRequest ? this.#nicRefusal(payload as NicOidRequest) : undefined
  }

  // Spec 4.4: who may wrap what, for whom.
  #nicRefusal(request: NicOidRequest): number | undefined {
    const { view, references, handling } = this.#components
    const inner = request?.oidRequest
    if (typeof inner !== 'object' || inner === null || !Number.isInteger(inner.oid)) return NdisStatus.invalidData
    const { sourcePortId, sourceNicIndex, destinationPortId, destinationNicIndex } = request
    const what = innerOidRule(inner.oid)?.name ?? `OID 0x${inner.oid.toString(16)}`
    const bad = (rule: string, why: string): number =>
      this.#refuse(rule, `issued the encapsulated ${what} ${why}`, NdisStatus.notSupported)
    if (inner.type !== 'query' && this.#components.class !== 'forwarding') return bad('ES-265', 'as a set request') // ES-266
    if (isMulticastOid(inner.oid)) return bad('ES-257', 'which only the switch issues')
    const member = destinationNicIndex >= 1 && destinationNicIndex <= PHYSICAL_NICS_MAX
    if (destinationPortId !== view.externalPortId || !member)
      return bad('ES-267', `to ${destinationPortId}/${destinationNicIndex}, which is no physical adapter`)
    if (innerOidRule(inner.oid) !== undefined) {
      // ES-270: an offload OID of its own answers the same one from above.
      const above = handling()
      const same = above?.oid === Oid.nicRequest && (above.payload as NicOidRequest).oidRequest.oid === inner.oid
      if (!same) return bad(innerOidRule(inner.oid)!.releases ? 'ES-271' : 'ES-270', 'while it was not handling the same one')
      if (!this.#offloads.mayIssue(inner.oid, destinationNicIndex))
        return bad('ES-271', `to adapter ${destinationNicIndex}, where it allocated nothing of the kind`)
    }
    const own = sourcePortId === DEFAULT_PORT_ID && sourceNicIndex === DEFAULT_NIC_INDEX // ES-268
    if (!own) {
      if (this.#components.class !== 'forwarding') return bad('ES-268', `from ${sourcePortId}/${sourceNicIndex}`)
      if (sourcePortId === DEFAULT_PORT_ID || sourceNicIndex !== DEFAULT_NIC_INDEX)
        return bad('ES-269', `from ${sourcePortId}/${sourceNicIndex}, which is no partition's connection`)
      if (references.held(sourcePortId, sourceNicIndex) === 0) return bad('ES-273', 'without a reference on its source')
    }
    if (references.held(destinationPortId, destinationNicIndex) === 0) {
      const rule = this.#ruleOfState(destinationPortId, destinationNicIndex, {
        created: 'ES-175',
        disconnected: 'ES-201',
        otherwise: 'ES-272',
      })
      return this.#refuse(
        rule,
        `issued the encapsulated ${what} without a reference on its destination`,
        NdisStatus.failure, // ES-216, ES-221
      )
    }
    return undefined
  }

  // The references that a request of its own needs are held until it completes.
  #nicRequestEnded(
    { sourcePortId, sourceNicIndex, destinationPortId, destinationNicIndex, oidRequest }: NicOidRequest,
    status: number,
  ): void {
    const { breach, references } = this.#components
    const gone = (rule: string, of: string): void =>
      breach(rule, `gave its reference on the ${of} of an encapsulated request back before the request completed`)
    if (sourcePortId !== DEFAULT_PORT_ID && references.held(sourcePortId, sourceNicIndex) === 0) gone('ES-273', 'source')
    if (references.held(destinationPortId, destinationNicIndex) === 0) gone('ES-272', 'destination')
    if (status === NdisStatus.success) this.#offloads.succeeded(oidRequest.oid, destinationNicIndex)
  }

  // Who has no reference breaks the rule of the state that the connection is in: it could have had one while it was connected only.
  #ruleOfState(
    portId: number,
    nicIndex: number,
    rules: { readonly created: string; readonly disconnected: string; readonly otherwise: string },
  ): string {
    const state = this.#components.view.nic(portId, nicIndex)?.nicState
    if (state === NicState.created) return rules.created
    return state === NicState.disconnected ? rules.disconnected : rules.otherwise
  }

  indicateStatus(indication: NicStatusIndication): number {
    const { breach, ready, view, references } = this.#components
    const bad = (rule: string, why: string, status: number = NdisStatus.invalidParameter): number => {
      breach(rule, `indicated a status ${why}`)
      return status
    }
    if (!ready()) return bad('ES-053', 'while it was not attached', NdisStatus.failure)
    if (this.#components.class !== 'forwarding') return bad('ES-286', 'of its own', NdisStatus.notSupported)
    const { sourcePortId, sourceNicIndex, destinationPortId, destinationNicIndex, statusIndication } = indication
    if (!Number.isInteger(statusIndication?.statusCode)) return NdisStatus.invalidData
    if (sourcePortId === DEFAULT_PORT_ID) {
      // About a partition's resources: the connection is the destination. ES-290
      if (sourceNicIndex !== 0 || destinationPortId === DEFAULT_PORT_ID) return bad('ES-290', 'that names no connection')
      const removeVf = statusIndication.statusCode === StatusIndication.switchPortRemoveVf
      if (removeVf && statusIndication.statusBuffer !== null) return bad('ES-296', 'REMOVE_VF with a buffer')
      if (references.held(destinationPortId, destinationNicIndex) === 0)
        return bad(
          removeVf ? 'ES-294' : 'ES-292',
          `about ${destinationPortId}/${destinationNicIndex} without a reference`,
          NdisStatus.failure,
        )
    } else {
      if (statusIndication.statusCode === StatusIndication.switchPortRemoveVf) return bad('ES-296', 'REMOVE_VF with a source')
      if (sourcePortId !== view.externalPortId || sourceNicIndex !== 0)
        return bad('ES-289', `from ${sourcePortId}/${sourceNicIndex}`)
      if (destinationPortId !== 0 || destinationNicIndex !== 0)
        return bad('ES-289', `to ${destinationPortId}/${destinationNicIndex}`)
      if (references.held(sourcePortId, sourceNicIndex) === 0)
        return bad(
          this.#ruleOfState(sourcePortId, sourceNicIndex, {
            created: 'ES-176',
            disconnected: 'ES-202',
            otherwise: 'ES-291',
          }),
          'from the external port without a reference',
          NdisStatus.failure, // ES-217
        )
    }
    this.#components.indicate(indication)
    return NdisStatus.success
  }

  referencePort(portId: number): number {
    return this.#components.ready() ? this.#components.references.take(portId, PORT_ITSELF) : NdisStatus.failure
  }

  dereferencePort(portId: number): number {
    return this.#released(this.#components.references.give(portId, PORT_ITSELF), 'ES-142', `port ${portId}`)
  }

  referenceNic(portId: number, nicIndex: number = DEFAULT_NIC_INDEX): number {
    if (!this.#components.ready() || nicIndex < 0) return NdisStatus.failure
    return this.#components.references.take(portId, nicIndex)
  }

  dereferenceNic(portId: number, nicIndex: number = DEFAULT_NIC_INDEX): number {
    const status = nicIndex < 0 ? NdisStatus.invalidParameter : this.#components.references.give(portId, nicIndex)
    return this.#released(status, 'ES-219', `connection ${portId}/${nicIndex}`)
  }

  #released(status: number, rule: string, what: string): number {
    if (status !== NdisStatus.success) this.#components.breach(rule, `released a reference on ${what} that it did not hold`)
    return status
  }
}
