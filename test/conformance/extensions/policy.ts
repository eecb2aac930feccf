// What the test extensions do about properties, feature status, and saved data, told by their options: one program for all classes.
import type {
  ExtensionClass,
  NicRestoreState,
  NicSaveRequest,
  OidCompletion,
  OidRequest,
  PortFeatureStatusParameters,
  PortPropertyParameters,
  PropertyEnumeration,
  SwitchHandle,
} from 'vmswitch/extension'
import { defineExtension, NdisStatus, NO_GUID, Oid, oidName, PortPropertyType, SAVE_DATA_OFFSET } from 'vmswitch/extension'

export interface PolicyBehaviour {
  /** GUID that it saves and restores under; its definition's without it. */
  readonly owner?: string
  /** GUID of the custom property that it manages. */
  readonly manages?: string
  /** Completes what it manages with success, whatever its class. */
  readonly completes?: boolean
  /** Status for a property whose value is this text, or has this type number. */
  readonly refuse?: {
    readonly value?: string
    readonly type?: number
    readonly validationOnly?: boolean
    readonly status: number
  }
  /** Blocks that it saves of each connection. */
  readonly blocks?: readonly string[]
  /** Restores only what it saved; fails it. */
  readonly failRestore?: boolean
  /** GUID of a feature whose status it answers with so many bytes. */
  readonly feature?: string
  readonly featureBytes?: number
  /** Enumerates a port's security properties when one was added, and says what it found. */
  readonly enumerates?: boolean
  /** Saves blocks of wrong forms: without owner, without class, too large. */
  readonly badBlock?: 'owner' | 'class' | 'size'
  /** Tries to change what it gets. */
  readonly tampers?: boolean
  /** Logs nothing. */
  readonly quiet?: boolean
}

export const RATE = '0d3c1f9f-0001-4c56-9b7e-7b0b6d0e5f0c'

export const policyExtension = (extensionClass: ExtensionClass, id: string) =>
  defineExtension<PolicyBehaviour>({
    id,
    name: `policy ${extensionClass} extension`,
    version: '1.0.0',
    class: extensionClass,
    parseOptions: (raw) => (raw ?? {}) as PolicyBehaviour,
    properties: {
      [RATE]: {
        name: 'rate-limit',
        version: '1.1',
        scope: 'port',
        parse(raw) {
          if (typeof raw !== 'string') throw new Error('a text is needed')
          return { text: raw }
        },
      },
    },
    attach: (sw, options) => {
      const extension = new PolicyExtension(sw, extensionClass, options.owner ?? id, options)
      return { oid: (request) => extension.oid(request), oidComplete: (request, { status }) => extension.done(request, status) }
    },
  })

class PolicyExtension {
  readonly #sw: SwitchHandle
  readonly #class: ExtensionClass
  readonly #id: string
  readonly #options: PolicyBehaviour
  readonly #saved = new Map<number, number>()

  constructor(sw: SwitchHandle, extensionClass: ExtensionClass, id: string, options: PolicyBehaviour) {
    this.#sw = sw
    this.#class = extensionClass
    this.#id = id
    this.#options = options
  }

  #say(request: OidRequest, more = ''): void {
    if (this.#options.quiet) return
    const { portId = 0 } = request.payload as { portId?: number }
    this.#sw.log(`${oidName(request.oid).slice(11)} ${portId}${more === '' ? '' : ` ${more}`}`)
  }

  oid(request: OidRequest): OidCompletion | undefined {
    if (this.#options.tampers) this.#tamper(request.payload as Record<string, unknown>)
    switch (request.oid) {
      case Oid.portPropertyAdd:
      case Oid.portPropertyUpdate:
      case Oid.portPropertyDelete:
      case Oid.switchPropertyAdd:
      case Oid.switchPropertyUpdate:
      case Oid.switchPropertyDelete:
        return this.#property(request)
      case Oid.portFeatureStatusQuery:
      case Oid.switchFeatureStatusQuery:
        return this.#feature(request)
      case Oid.nicSave:
        return this.#save(request)
      case Oid.nicRestore:
        return this.#restore(request)
      default:
        if (request.oid === Oid.nicSaveComplete) this.#saved.delete((request.payload as NicSaveRequest).portId)
        this.#say(request)
        return undefined
    }
  }

  done(request: OidRequest, status: number): void {
    if (status !== NdisStatus.success) this.#say(request, `failed ${status.toString(16)}`)
    else if (this.#options.enumerates && request.oid === Oid.portPropertyAdd)
      setTimeout(() => void this.#enumerate((request.payload as PortPropertyParameters).portId), 20)
  }

  #tamper(payload: Record<string, unknown>): void {
    for (const member of ['portId', 'nicIndex', 'saveDataSize', 'propertyType', 'property'])
      if (member in payload && Reflect.set(payload, member, 77)) this.#sw.log(`changed ${member}`)
    const property = payload.property as Record<string, unknown> | undefined
    if (property && Reflect.set(property, 'allowMacSpoofing', true)) this.#sw.log('changed the property')
  }

  #property(request: OidRequest): OidCompletion | undefined {
    const { portId, propertyType, propertyId, propertyVersion, property } = request.payload as PortPropertyParameters
    const { refuse, manages, completes } = this.#options
    const text = (property as { text?: string } | undefined)?.text ?? (typeof property === 'string' ? property : '')
    this.#say(request, `type ${propertyType} version ${propertyVersion ?? '-'}${text === '' ? '' : ` ${text}`}`)
    const validation = this.#sw.ports().find((port) => port.portId === portId)?.isValidationPort ?? false
    const hit = refuse && (refuse.type === propertyType || (refuse.value !== undefined && refuse.value === text))
    if (hit && (validation || !refuse.validationOnly)) return { status: refuse.status }
    const managed = manages === propertyId && (this.#class === 'forwarding' || completes === true)
    return managed || (completes === true && manages === undefined)
      ? { status: NdisStatus.success, supportedRevision: 1 }
      : undefined
  }

  #feature(request: OidRequest): OidCompletion | undefined {
    const { featureStatusId, bufferLength } = request.payload as PortFeatureStatusParameters
    const { feature, featureBytes = 4 } = this.#options
    this.#say(request)
    if (feature !== featureStatusId) return undefined
    if (featureBytes > bufferLength) return { status: NdisStatus.invalidLength, bytesNeeded: featureBytes }
    return { status: NdisStatus.success, output: { featureStatusVersion: 0x0102, data: new Uint8Array(featureBytes).fill(0x61) } }
  }

  #save(request: OidRequest): OidCompletion | undefined {
    const { portId, saveDataSize } = request.payload as NicSaveRequest
    const next = this.#saved.get(portId) ?? 0
    const text = this.#options.blocks?.[next]
    this.#say(request)
    if (text === undefined) return undefined
    const saveData = new TextEncoder().encode(text)
    if (saveData.length > saveDataSize)
      return { status: NdisStatus.bufferTooShort, bytesNeeded: SAVE_DATA_OFFSET + saveData.length }
    this.#saved.set(portId, next + 1)
    const block = { extensionId: this.#id, extensionFriendlyName: 'policy test', featureClassId: NO_GUID, saveData }
    const { badBlock } = this.#options
    const wrong = { owner: { extensionId: '' }, class: { featureClassId: '' }, size: { saveData: new Uint8Array(100_000) } }
    return { status: NdisStatus.success, output: badBlock ? { ...block, ...wrong[badBlock] } : block }
  }

  #restore(request: OidRequest): OidCompletion | undefined {
    const { extensionId, saveData } = request.payload as NicRestoreState
    if (extensionId !== this.#id || this.#options.blocks === undefined) {
      this.#say(request, 'not mine')
      return undefined
    }
    this.#say(request, new TextDecoder().decode(saveData.subarray(0, 20)))
    return { status: this.#options.failRestore ? NdisStatus.failure : NdisStatus.success }
  }

  // PORT_PROPERTY_ENUM of its own, with a reference of the port meanwhile.
  async #enumerate(portId: number): Promise<void> {
    if (this.#sw.referencePort(portId) !== NdisStatus.success) return
    const { output } = await this.#sw.query(Oid.portPropertyEnum, { portId, propertyType: PortPropertyType.security })
    this.#sw.dereferencePort(portId)
    const { numProperties, properties } = output as PropertyEnumeration
    this.#sw.log(`enumerated ${numProperties} ${JSON.stringify(properties.map(({ property }) => property))}`)
  }
}
