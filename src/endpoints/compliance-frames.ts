// Frames for tests: recognisable, deterministic, with an ether type that no protocol of the host answers (IEEE local experimental).

/** IEEE 802 local experimental ether type 1. */
export const TEST_ETHER_TYPE = 0x88b5
const HEADER = 14

/** A frame of `length` bytes (at least 14) whose content depends on `seed` and the position. */
export function testFrame(length: number, seed: number, destination = 1, source = 2): Buffer {
  const frame = Buffer.alloc(length)
  frame.writeUInt8(0x02, 0)
  frame.writeUInt32BE(destination >>> 0, 2)
  frame.writeUInt8(0x02, 6)
  frame.writeUInt32BE(source >>> 0, 8)
  frame.writeUInt16BE(TEST_ETHER_TYPE, 12)
  for (let i = HEADER; i < length; i++) frame[i] = (seed * 31 + i * 7 + (i >> 8)) & 0xff
  return frame
}

/** Whether a frame carries the tests' ether type: the host's own chatter does not. */
export const isTestFrame = (frame: Uint8Array): boolean =>
  frame[12] === TEST_ETHER_TYPE >> 8 && frame[13] === (TEST_ETHER_TYPE & 0xff)
