// The XDP program on one interface, with its map of AF_XDP sockets and, where several sockets serve a receive queue, the table that
// chooses between them.
//
// The rule it must not break: the program hangs on a link whose only holder is this process, so the kernel takes it off the interface
// when the process ends, however it ends.
import { BpfMap, BpfProgram, MapType, ProgramType, XdpLink, XdpMode } from './bpf.ts'
import { redirectProgram, steeringProgram } from './steering-program.ts'
import { SteeringTable } from './steering-table.ts'

export interface XdpProgramOptions {
  /** Name of the interface. */
  readonly name: string
  /** Sockets in all, one per queue pair. */
  readonly sockets: number
  /** All sockets serve the one receive queue of the interface, and the program chooses; otherwise each serves the queue of its index. */
  readonly steers: boolean
}

export class XdpProgram {
  /** What steers, where the program does. */
  readonly table: SteeringTable | null
  readonly #name: string
  readonly #sockets: BpfMap
  readonly #program: BpfProgram
  #link: XdpLink | null = null

  /** Loads it. Until rules come, flows are spread over all sockets. Throws SystemCallError. */
  constructor({ name, sockets, steers }: XdpProgramOptions) {
    this.#name = name
    this.#sockets = new BpfMap({ type: MapType.sockets, keyBytes: 4, valueBytes: 4, entries: sockets, subject: name })
    let table: SteeringTable | null = null
    try {
      if (steers) table = new SteeringTable([...new Array(sockets).keys()], name)
      const { fd } = this.#sockets
      const code =
        table === null ? redirectProgram(fd) : steeringProgram(table.maps, { kind: 'xdp', sockets: fd, queues: sockets })
      this.#program = new BpfProgram(ProgramType.xdp, code, name)
      this.table = table
    } catch (error) {
      table?.close()
      this.#sockets.close()
      throw error
    }
  }

  get mode(): 'driver' | 'generic' | 'none' {
    return this.#link === null ? 'none' : this.#link.mode === XdpMode.driver ? 'driver' : 'generic'
  }

  /** Gives the frames of queue `queue` to the socket `fd`. */
  set(queue: number, fd: number): void {
    const key = Buffer.alloc(4)
    const value = Buffer.alloc(4)
    key.writeUInt32LE(queue)
    value.writeUInt32LE(fd)
    this.#sockets.set(key, value)
  }

  /** Puts the program on interface `index`. Throws SystemCallError. */
  attach(index: number): void {
    this.#link = new XdpLink(this.#program, index, this.#name)
  }

  /** Takes the program off and frees it. */
  close(): void {
    this.#link?.close()
    this.#link = null
    this.#program.close()
    this.table?.close()
    this.#sockets.close()
  }
}
