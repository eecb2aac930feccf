// The error of the codecs: text or bytes that are not what they should be. Parsers of frames return undefined instead, because
// frames come from strangers and are counted, not explained.

/** Text that is not an address or prefix, or a capture that is not one. `code` is stable. */
export class PacketFormatError extends Error {
  readonly code: 'bad-address' | 'bad-capture'

  constructor(code: 'bad-address' | 'bad-capture', message: string) {
    super(message)
    this.name = 'PacketFormatError'
    this.code = code
  }
}
