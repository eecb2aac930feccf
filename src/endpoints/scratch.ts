// What a processor has at hand for the queue that it serves at the moment, of endpoints that move frames with system calls: buffers for
// the frames of one receive, messages and vectors that describe frames to the kernel, room for payload that the kernel can't be
// pointed at. A port needs none of its own, so a thousand of them take no more than one.
//
// The rule it must not break: the buffers hold frames from a receive to its complete, and nobody else receives meanwhile; everything
// else is written and used within one call.
import { IOVECS_MAX, MMSGHDR_BYTES } from '../linux/messages.ts'
import { FRAME_BUFFER, IOVEC_BYTES } from './gather.ts'

/** Frames that one receive takes at the most: each has its buffer. */
export const SCRATCH_FRAMES = 32
/** Messages that one send carries at the most. */
export const SCRATCH_MESSAGES = 64
/** Vectors of a received frame at the most. */
export const RECEIVE_VECTORS = 3
/** Bytes from one sender's address to the next. */
export const NAME_STRIDE = 112
/** Bytes of the room for payload to be copied. */
export const BOUNCE_BYTES = 2 * FRAME_BUFFER

const RECEIVE_VECTOR_BYTES = SCRATCH_FRAMES * RECEIVE_VECTORS * IOVEC_BYTES

// Offsets in the scratch memory.
export const S_BUFFERS = 0 // SCRATCH_FRAMES times FRAME_BUFFER
export const S_BOUNCE = S_BUFFERS + SCRATCH_FRAMES * FRAME_BUFFER
export const S_SEND_VECTORS = S_BOUNCE + BOUNCE_BYTES // IOVECS_MAX
export const S_SEND_MESSAGES = S_SEND_VECTORS + IOVECS_MAX * IOVEC_BYTES // SCRATCH_MESSAGES
export const S_RECEIVE_VECTORS = S_SEND_MESSAGES + SCRATCH_MESSAGES * MMSGHDR_BYTES
export const S_RECEIVE_MESSAGES = S_RECEIVE_VECTORS + RECEIVE_VECTOR_BYTES // SCRATCH_FRAMES
export const S_NAMES = S_RECEIVE_MESSAGES + SCRATCH_FRAMES * MMSGHDR_BYTES // SCRATCH_FRAMES
/** Bytes of a processor's scratch memory. */
export const SCRATCH_BYTES = S_NAMES + SCRATCH_FRAMES * NAME_STRIDE
