// An error of the store: `code` is stable; the message says what, where and what to do.

export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: 'state-in-use' | 'state-not-private' | 'state-unusable' | 'state-too-new' | 'state-damaged' | 'not-stored'

  constructor(code: StoreError['code'], message: string) {
    super(message)
    this.code = code
  }
}
