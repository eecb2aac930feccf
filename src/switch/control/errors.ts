// What the control side of a switch refuses, with a stable code.
import { NdisStatus } from '../../ndis/status.ts'

/** An operation that the switch refused: vetoed by an extension, or wrong in the present state or for this type of switch. */
export class SwitchControlError extends Error {
  override readonly name = 'SwitchControlError'
  readonly code:
    | 'VETOED'
    | 'WRONG_STATE'
    | 'WRONG_TYPE'
    | 'NO_SUCH_PORT'
    | 'NO_SUCH_CONNECTION'
    | 'NAME_IN_USE'
    | 'TOO_MANY_PORTS'
    | 'FDB_FULL'
  /** NDIS status, where an extension gave one. */
  readonly status: number

  constructor(code: SwitchControlError['code'], message: string, status: number = NdisStatus.failure) {
    super(message)
    this.code = code
    this.status = status
  }
}

const nicStates = ['unknown', 'created', 'connected', 'disconnected', 'deleted']

/** The refusal of a request that the state of a connection does not allow. */
export function wrongState(
  port: { readonly name: string },
  nic: { readonly index: number; readonly state: number },
  oid: string,
): SwitchControlError {
  const what = nic.index === 0 ? 'the connection' : `physical adapter ${nic.index}`
  return new SwitchControlError(
    'WRONG_STATE',
    `OID_SWITCH_${oid} is not allowed while ${what} of port "${port.name}" is ${nicStates[nic.state]}`,
  )
}
