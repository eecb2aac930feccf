// Writes numbers in network order into one buffer, from which messages are sent.
//
// The rule it must not break: nothing is allocated, and nothing is written behind the room that a message has: who writes asks before.

const UINT32 = 2 ** 32

/** Fields are ordinary ones: they are written per record. */
export class MessageWriter {
  readonly bytes: Uint8Array
  /** Where the next number goes: the length so far. */
  at = 0
  private readonly view: DataView

  /** `room`: bytes of the longest message. */
  constructor(room: number) {
    this.bytes = new Uint8Array(room)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Bytes that still fit. */
  get room(): number {
    return this.bytes.length - this.at
  }

  u8(value: number): void {
    this.bytes[this.at++] = value
  }

  u16(value: number): void {
    this.view.setUint16(this.at, value)
    this.at += 2
  }

  u32(value: number): void {
    this.view.setUint32(this.at, value)
    this.at += 4
  }

  /** A whole number from 0 to 2^53. */
  u64(value: number): void {
    this.view.setUint32(this.at, Math.floor(value / UINT32))
    this.view.setUint32(this.at + 4, value % UINT32)
    this.at += 8
  }

  copy(source: Uint8Array, from: number, length: number): void {
    for (let i = 0; i < length; i++) this.bytes[this.at + i] = source[from + i]!
    this.at += length
  }

  zeros(count: number): void {
    this.bytes.fill(0, this.at, this.at + count)
    this.at += count
  }

  u16At(at: number, value: number): void {
    this.view.setUint16(at, value)
  }

  u32At(at: number, value: number): void {
    this.view.setUint32(at, value)
  }
}
