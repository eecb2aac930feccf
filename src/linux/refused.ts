// The error of a protocol's back-end that refuses a request of its peer: the request fails, the peer is told, nothing else happens.

/** A request can't be served; it is answered with an error, and the connection lives on unless an answer with content was due. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}
