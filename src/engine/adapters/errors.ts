// What can go wrong with SR-IOV adapters of a running switch, for whoever asked.

export type AdapterErrorCode =
  | 'NO_SUCH_ADAPTER'
  | 'NO_VF_LEFT'
  | 'NO_IOV'
  | 'VF_ASSIGNED'
  | 'NO_VF'
  | 'ADAPTER_REMOVED'
  | 'BAD_VF_SETTING'
  | 'WRONG_STATE'

/** The codes are those of the contract in adapter-config.ts. */
export class SwitchAdapterError extends Error {
  override readonly name = 'SwitchAdapterError'
  readonly code: AdapterErrorCode

  constructor(code: AdapterErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
