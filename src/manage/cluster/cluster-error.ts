// Why a host can't join, leave or change a network.
export class ClusterError extends Error {
  override readonly name = 'ClusterError'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}
