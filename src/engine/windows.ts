// Windows of guest memory in one thread: the four GiB of linear memory, and stretches outside it that a plan names by address.
import type { WindowPlan } from '../endpoints/endpoint.ts'
import type { TwinMemory, Window } from '../kernels/kernels.ts'
import { WINDOW_BYTES } from '../kernels/layout.ts'
import { nativeView, sys } from '../linux/libc.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'

interface NativeWindow extends Window {
  readonly address: number
}

const viewWindow = (buffer: ArrayBufferLike, offset: number, length: number, address: number): NativeWindow => ({
  u8: new Uint8Array(buffer, offset, length),
  u16: new Uint16Array(buffer, offset, length >> 1),
  u32: new Uint32Array(buffer, offset, length >> 2),
  address,
})

/** The twin's memory in this thread; `add` and `remove` follow the plans. */
export class WindowSet implements TwinMemory {
  readonly linear: ArrayBufferLike
  readonly windows: NativeWindow[] = []
  readonly copyForeign = (target: Window, targetOffset: number, source: Window, sourceOffset: number, length: number): void => {
    sys.memcpy((target as NativeWindow).address + targetOffset, (source as NativeWindow).address + sourceOffset, length)
  }

  constructor(memory: SharedMemory) {
    this.linear = memory.buffer
    for (let at = 0; at < memory.buffer.byteLength; at += WINDOW_BYTES)
      this.windows.push(viewWindow(memory.buffer, at, Math.min(WINDOW_BYTES, memory.buffer.byteLength - at), memory.base + at))
  }

  /** Views the windows of a plan; one that is known under the same address stays. */
  add(plans: readonly WindowPlan[]): void {
    for (const plan of plans) {
      const known = this.windows[plan.index]
      if (known && known.address === plan.address && known.u8.length === plan.length) continue
      this.windows[plan.index] = viewWindow(nativeView(plan.address, plan.length), 0, plan.length, plan.address)
    }
  }
}
