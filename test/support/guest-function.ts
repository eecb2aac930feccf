// A VF's function as a guest reaches it, registers and configuration space alone, joined with the adapter's PF: for tests without a VMM.
import { VF_BLOCK_BYTES } from '../../src/adapter/igbvf/block.ts'
import * as r from '../../src/adapter/igbvf/registers.ts'
import { VirtualFunction } from '../../src/adapter/igbvf/virtual-function.ts'
import { deviceOf, ownerOf } from '../../src/adapter/vf-binding.ts'
import type { AdapterHarness } from './adapter-harness.ts'

const BLOCK = 64
const BUS_MASTER = 6
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

export class GuestFunction {
  readonly function: VirtualFunction
  /** What the PF heard of the driver: up, down. */
  readonly activity: boolean[] = []
  /** Eventfds that were signalled. */
  readonly signals: number[] = []

  /** Joins the function with an allocated VF. */
  constructor(harness: AdapterHarness, vfId: number, activity: (active: boolean) => void = () => {}) {
    const buffer = new ArrayBuffer(BLOCK + VF_BLOCK_BYTES)
    const { pf } = harness.software
    const heard = (active: boolean): void => {
      this.activity.push(active)
      activity(active)
    }
    this.function = new VirtualFunction(BLOCK, {
      u8: new Uint8Array(buffer),
      u32: new Uint32Array(buffer),
      i32: new Int32Array(buffer),
      f64: new Float64Array(buffer),
      signal: (fd) => this.signals.push(fd),
      wakeIn: () => {},
      nowMs: () => harness.nowMs,
      quiesce: (work) => work(),
      owner: ownerOf(pf, vfId, 1500, heard, harness.software.channel(vfId)),
    })
    this.function.setVectors([10, 11, 12])
    pf.attachDevice(vfId, deviceOf(this.function))
  }

  /** Sends a mailbox message; the words of the answer, acknowledged. */
  async mail(...words: readonly number[]): Promise<number[]> {
    const { function: fn } = this
    fn.write(r.V2PMAILBOX, r.MAILBOX_VFU)
    for (const [i, word] of words.entries()) fn.write(r.VMBMEM + 4 * i, word)
    fn.write(r.V2PMAILBOX, r.MAILBOX_REQ)
    await turn()
    const answer = Array.from({ length: r.VMBMEM_WORDS }, (_, i) => fn.read(r.VMBMEM + 4 * i) >>> 0)
    fn.read(r.V2PMAILBOX)
    fn.write(r.V2PMAILBOX, r.MAILBOX_ACK)
    return answer
  }

  /** The driver resets its function and greets the PF. Returns the address that it is given. */
  async hello(): Promise<string> {
    this.function.write(r.CTRL, r.CTRL_RST)
    const [, low = 0, high = 0] = await this.mail(r.VF_RESET)
    const octets = [low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8].map((octet) => octet & 255)
    return octets.map((octet) => octet.toString(16).padStart(2, '0')).join(':')
  }

  /** The driver is up: bus mastering, both rings. */
  async up(): Promise<void> {
    this.function.attach(true)
    this.function.writeConfig(4, Uint8Array.of(BUS_MASTER, 0))
    await this.hello()
    this.function.write(r.IVAR_MISC, 0x82)
    this.function.write(r.EIMS, r.VECTOR_MASK)
    this.function.write(r.TXDCTL, r.QUEUE_ENABLE)
    this.function.write(r.RXDCTL, r.QUEUE_ENABLE)
  }

  /** The driver halts. */
  down(): void {
    this.function.write(r.CTRL, r.CTRL_RST)
  }

  get linkUp(): boolean {
    return (this.function.read(r.STATUS) & r.STATUS_LINK_UP) !== 0
  }
}
