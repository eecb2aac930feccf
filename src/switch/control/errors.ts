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
