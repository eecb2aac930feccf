// The part of SwitchHost that is about SR-IOV adapters and their virtual functions. Types only; host.ts has the rest.
//
// The rule it must not break: everything here survives JSON.
import type { VfShown, VfWords } from '../../adapter/linux-words.ts'
import type { AdapterStatus, AssignedVfStatus } from '../../engine/adapter-config.ts'
import type { QueueCalls } from './queue-calls.ts'

export type { VfShown, VfWords } from '../../adapter/linux-words.ts'
export type { AdapterStatus, AssignedVfStatus, VPortStatus } from '../../engine/adapter-config.ts'

type Answer<T> = T | Promise<T>

/** A change of a VF in the words of `ip link set … vf N …`. */
export interface VfChange {
  readonly adapter: string
  readonly vf: number
  readonly words: VfWords
}

/** Any OID, as an overlying driver issues it. Bytes within the payload are written `{ "hex": "00ff" }`. */
export interface AdapterOidRequest {
  /** Its number, or its name: OID_NIC_SWITCH_ENUM_VPORTS. */
  readonly oid: number | string
  readonly type: 'query' | 'set' | 'method'
  readonly payload?: unknown
  /** Bytes of the output buffer; large enough without it. */
  readonly outputRoom?: number | undefined
}

/** How an OID completed. A status that is no success is an answer too, not an error of the call. */
export interface AdapterOidAnswer {
  readonly status: number
  /** NDIS_STATUS_… */
  readonly statusName: string
  /** Bytes are written `{ "hex": "00ff" }`; null without output. */
  readonly output: unknown
}

/**
 * Calls fail with the codes no-such-adapter, no-such-port, no-vf-left, no-iov, vf-assigned, no-vf, adapter-removed, bad-vf-setting,
 * wrong-mode, bad-request.
 */
export interface AdapterCalls extends QueueCalls {
  adapters(): Answer<readonly AdapterStatus[]>
  adapter(name: string): Answer<AdapterStatus>
  /** Surprise removal: every guest falls back to its synthetic card. */
  pullAdapter(name: string): Answer<AdapterStatus>
  plugAdapter(name: string): Answer<AdapterStatus>
  adapterRequest(name: string, request: AdapterOidRequest): Answer<AdapterOidAnswer>
  setVf(change: VfChange): Answer<VfShown>
  /** The VFs that ports have. */
  vfs(): Answer<readonly AssignedVfStatus[]>
  assignVf(port: string): Answer<AssignedVfStatus>
  /** `surprise`: without asking the guest. */
  removeVf(removal: { readonly port: string; readonly surprise: boolean }): Answer<void>
  /** Function-level reset. */
  resetVf(port: string): Answer<AssignedVfStatus>
}
