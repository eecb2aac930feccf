// What can go wrong in the lab, as one error class with stable codes. A message says what is wrong, where, and what to do.

export type LabErrorCode =
  | 'program-missing'
  | 'program-failed'
  | 'kernel-package-missing'
  | 'image-incomplete'
  | 'path-too-long'
  | 'guest-exited'
  | 'guest-boot-timeout'
  | 'guest-command-timeout'
  | 'guest-command-too-long'
  | 'guest-protocol'
  | 'qmp-failed'
  | 'link-failed'
  | 'check-failed'
  | 'interrupted'

export class LabError extends Error {
  override readonly name = 'LabError'
  readonly code: LabErrorCode

  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
