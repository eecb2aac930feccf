// What an extension may answer to an OID request. An answer that the contract does not allow is a breach: it is reported with the rule's
// number and has no effect, and the request goes on as if it had been forwarded.
import type { ExtensionClass, OidVerdict } from '../../extension.ts'
import { innerOidRule } from '../../ndis/inner-oids.ts'
import { oidRule } from '../../ndis/oid-rules.ts'
import {
  DEFAULT_PORT_ID,
  NIC_INITIALIZING,
  type NicOidRequest,
  type NicParameters,
  Oid,
  type OidCompletion,
  type OidRequest,
  oidName,
  PHYSICAL_NICS_MAX,
  type PortParameters,
} from '../../ndis/oids.ts'
import { SAVE_DATA_OFFSET } from '../../ndis/save-state.ts'
import { NdisStatus, ndisStatusName } from '../../ndis/status.ts'
import { wrongBlock } from '../save-restore/save-block.ts'
import type { ModuleReferences } from './references.ts'

/** What happens to the request: it is completed, or goes on, with another payload if there is one. */
export type Ruling = { readonly complete: OidCompletion } | { readonly forward: true; readonly payload?: unknown }

export interface Judged {
  readonly class: ExtensionClass
  readonly externalPortId: number | undefined
  readonly isValidationPort: (portId: number) => boolean
  /** The module said so before its handler returned. */
  readonly within: boolean
  readonly references: ModuleReferences
  readonly breach: (rule: string, what: string) => void
}

const FORWARD: Ruling = { forward: true }

/** Rules on `verdict` of a module about `request`. */
export function judgeVerdict(request: OidRequest, verdict: OidVerdict, by: Judged): Ruling {
  const forwards =
    verdict === undefined || verdict === null || verdict === 'forward' || (typeof verdict === 'object' && 'forward' in verdict)
  if (forwards && !by.within && request.oid === Oid.nicRequest)
    return refuse(by, 'ES-274', 'forwarded an encapsulated OID request after its handler had returned')
  if (verdict === undefined || verdict === null || verdict === 'forward') return FORWARD
  if (typeof verdict === 'object' && 'forward' in verdict) return judgeClone(request, verdict.forward, by)
  const status = typeof verdict === 'object' ? (verdict.status as unknown) : undefined
  if (typeof verdict !== 'object' || !Number.isInteger(status) || status === NdisStatus.pending)
    return refuse(by, 'ES-249', `answered ${oidName(request.oid)} with no NDIS status that completes it`)
  return judgeCompletion(request, verdict, by)
}

function refuse(by: Judged, rule: string, what: string): Ruling {
  by.breach(rule, what)
  return FORWARD
}

// A validation port, or a property of one: it only checks settings and never takes a resource.
function checksSettings({ oid, payload }: OidRequest, by: Judged): boolean {
  if (oid === Oid.portCreate) return (payload as PortParameters).isValidationPort
  return (
    (oid === Oid.portPropertyAdd || oid === Oid.portPropertyUpdate) && by.isValidationPort((payload as PortParameters).portId)
  )
}

function judgeCompletion(request: OidRequest, completion: OidCompletion, by: Judged): Ruling {
  const name = oidName(request.oid)
  const success = completion.status === NdisStatus.success
  const accept: Ruling = { complete: completion }
  const rule = oidRule(request.oid)
  if (!rule) return refuse(by, 'ES-249', `completed ${name}, which it does not know and must forward`)
  // AMB-48: what concerns an extension's own data may be completed by every class.
  if (rule.completer === 'owner') {
    const { room = Number.POSITIVE_INFINITY } = request
    const wrong = success && request.oid === Oid.nicSave ? wrongBlock(completion.output, room - SAVE_DATA_OFFSET) : undefined
    return wrong ? refuse(by, wrong.rule, wrong.what) : accept
  }
  if (by.class === 'capturing') return refuse(by, 'ES-250', `completed ${name}; a capturing extension forwards every request`)
  if (completion.status === NdisStatus.resources && checksSettings(request, by))
    return refuse(by, 'ES-151', `failed ${name} of a validation port for want of resources, which it does not take`)
  switch (rule.completer) {
    case 'never':
      return refuse(by, rule.breach, `completed ${name}, which must be forwarded (ES-248)`)
    case 'veto': {
      if (success)
        return refuse(by, rule.breach, `completed ${name} with ${ndisStatusName(completion.status)} instead of forwarding it`)
      const index = request.oid === Oid.nicCreate ? (request.payload as NicParameters).nicIndex : 0
      if (index !== 0) return refuse(by, 'ES-180', `failed ${name} of index ${index}; only index 0 may be vetoed`)
      return accept
    }
    case 'property':
      if (success && by.class === 'filtering') {
        const breach = request.oid >= Oid.portPropertyAdd ? 'ES-512' : 'ES-553'
        return refuse(by, breach, `completed ${name} with success; a filtering extension forwards what it accepts`)
      }
      if (success && completion.supportedRevision === undefined)
        by.breach('ES-070', `completed ${name} without setting SupportedRevision`)
      return accept
    case 'inner':
      return judgeInner(request.payload as NicOidRequest, completion, by)
  }
}

// ES-275…ES-279: of the offload OIDs only those that ask for resources may be failed, by a forwarding extension.
function judgeInner(payload: NicOidRequest, completion: OidCompletion, by: Judged): Ruling {
  const inner = innerOidRule(payload.oidRequest.oid)
  const name = inner?.name ?? `private OID 0x${payload.oidRequest.oid.toString(16)}`
  if (by.class !== 'forwarding')
    return refuse(by, 'ES-249', `completed the encapsulated ${name}; only a forwarding extension may`)
  if (inner && !inner.veto && completion.status !== NdisStatus.success)
    return refuse(by, inner.rule, `failed the encapsulated ${name}, which may not be vetoed`) // ES-278
  if (inner?.of === 'multicast') return refuse(by, 'ES-257', `completed the encapsulated ${name}, which is for inspection`)
  return { complete: completion }
}

// A changed clone: a smaller MTU of an initialising adapter, or another team member for an encapsulated OID.
function judgeClone(request: OidRequest, payload: unknown, by: Judged): Ruling {
  if (by.class === 'capturing') return refuse(by, 'ES-250', `changed ${oidName(request.oid)}`)
  if (request.oid === Oid.nicCreate) return judgeMtu(request.payload as NicParameters, payload as NicParameters, by)
  if (request.oid === Oid.nicRequest) return judgeRedirect(request.payload as NicOidRequest, payload as NicOidRequest, by)
  return refuse(by, 'ES-247', `changed the data of ${oidName(request.oid)}`)
}

const sameBut = (a: object, b: unknown, but: readonly string[]): boolean =>
  typeof b === 'object' &&
  b !== null &&
  Object.entries(a).every(([key, value]) => but.includes(key) || Object.is((b as Record<string, unknown>)[key], value))

function judgeMtu(nic: NicParameters, changed: NicParameters, by: Judged): Ruling {
  if (!sameBut(nic, changed, ['mtu'])) return refuse(by, 'ES-170', 'changed more than MTU in OID_SWITCH_NIC_CREATE')
  const { mtu } = changed
  if (mtu === nic.mtu) return FORWARD
  if (!Number.isInteger(mtu) || mtu > nic.mtu || mtu < 68)
    return refuse(by, 'ES-172', `changed MTU from ${nic.mtu} to ${mtu}; it may only be reduced`)
  if ((nic.flags & NIC_INITIALIZING) === 0)
    return refuse(by, 'ES-171', `reduced MTU of "${nic.nicName}", which is not being initialised`)
  return { forward: true, payload: { ...nic, mtu } }
}

function judgeRedirect(from: NicOidRequest, to: NicOidRequest, by: Judged): Ruling {
  if (!sameBut(from, to, ['destinationPortId', 'destinationNicIndex', 'oidRequest']))
    return refuse(by, 'ES-261', 'changed the source of an encapsulated OID request')
  if (by.class !== 'forwarding')
    return refuse(by, 'ES-264', 'redirected an encapsulated OID request; only a forwarding extension may')
  const { destinationPortId, destinationNicIndex } = to
  const member = Number.isInteger(destinationNicIndex) && destinationNicIndex >= 1 && destinationNicIndex <= PHYSICAL_NICS_MAX
  if (from.destinationPortId === DEFAULT_PORT_ID || destinationPortId !== by.externalPortId || !member)
    return refuse(
      by,
      'ES-267',
      `redirected an encapsulated OID request to ${destinationPortId}/${destinationNicIndex}, no physical adapter`,
    )
  if (by.references.held(destinationPortId, destinationNicIndex) === 0)
    return refuse(
      by,
      'ES-272',
      `redirected an encapsulated OID request to ${destinationPortId}/${destinationNicIndex} without a reference`,
    )
  return { forward: true, payload: { ...from, destinationPortId, destinationNicIndex } }
}
