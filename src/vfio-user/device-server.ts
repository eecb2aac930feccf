// The vfio-user server of one PCI function: what a client's messages do to the function, its interrupts and the memory it can reach.
// It knows no sockets (a connection hands it checked messages) and no device (a PciFunction stands for it).
//
// The rule it must not break: what a client gave (descriptors, memory) goes only after the function uses it no more, and an access out
// of a region's range never reaches the function.
import { fstatSync } from 'node:fs'
import { closeFd, setNonBlocking, signalEventFd } from '../linux/files.ts'
import type { PassedFds } from '../linux/passed-fds.ts'
import { RefusedError } from '../linux/refused.ts'
import { DmaTable, type DmaTableComponents, type DmaTableOptions } from './dma-table.ts'
import { Command, decode, MESSAGE_FDS_MAX, TRANSFER_MAX } from './messages.ts'

/** Regions of a PCI device as VFIO numbers them: six BARs, the ROM, configuration space, VGA. */
export const REGIONS = 9
export const CONFIG_REGION = 7
/** Kinds of interrupts: INTx, MSI, MSI-X, error, request. */
const IRQ_KINDS = 5
const IRQ_MSIX = 2
const IRQ_ERROR = 3
const DEVICE_FLAGS = 3 // reset is possible; a PCI device
const REGION_READ_WRITE = 3
const IRQ_EVENTFD = 1
const SET_DATA_NONE = 1
const SET_DATA_EVENTFD = 4
const SET_ACTION_TRIGGER = 0x20
const FILE_TYPE_MASK = 0o170000
const MAX_DMA_MAPS = 65535

/** The device behind a server. */
export interface PciFunction {
  /** MSI-X vectors. */
  readonly vectors: number
  /** Bytes of a region, 0 = there is none. */
  regionBytes(region: number): number
  /** Fills `target` from `offset`; both lie within the region. */
  read(region: number, offset: number, target: Buffer): void
  write(region: number, offset: number, data: Buffer): void
  /** eventfds of the vectors, -1 = none. When it returns, former ones are used no more. */
  setVectors(fds: readonly number[]): void
  /** DEVICE_RESET. */
  reset(): void
}

const empty = Buffer.alloc(0)

/** One client's state and handlers of messages. */
export class DeviceServer {
  readonly #device: PciFunction
  readonly #dma: DmaTable
  readonly #vectors: number[]
  #clientVersion = ''
  #reads = 0
  #writes = 0

  constructor(device: PciFunction, options: DmaTableOptions, components: DmaTableComponents) {
    this.#device = device
    this.#dma = new DmaTable(options, components)
    this.#vectors = Array.from({ length: device.vectors }, () => -1)
  }

  /** Serves one checked message and returns the reply's payload. Throws RefusedError or SystemCallError. */
  handle(command: number, payload: Buffer, fds: PassedFds): Uint8Array {
    switch (command) {
      case Command.regionWrite:
        return this.#write(payload)
      case Command.regionRead:
        return this.#read(payload)
      case Command.version:
        return this.#version(payload)
      case Command.dmaMap:
        this.#dma.map(decode.dmaMap(payload), fds.peek(0))
        return empty
      case Command.dmaUnmap:
        this.#dma.unmap(decode.dmaUnmap(payload))
        return Buffer.from(payload.subarray(0, 24))
      case Command.deviceInfo:
        return words(16, DEVICE_FLAGS, REGIONS, IRQ_KINDS)
      case Command.regionInfo:
        return this.#regionInfo(decode.infoIndex(payload))
      case Command.irqInfo:
        return this.#irqInfo(decode.infoIndex(payload))
      case Command.setIrqs:
        this.#setIrqs(payload, fds)
        return empty
      default:
        this.#device.reset()
        return empty
    }
  }

  /** The client is gone: takes back all it gave. */
  reset(): void {
    this.#dropVectors()
    this.#dma.clear()
    this.#clientVersion = ''
    this.#reads = 0
    this.#writes = 0
  }

  /** Facts for `status`. */
  describe(): Record<string, unknown> {
    return {
      clientVersion: this.#clientVersion,
      messages: { reads: this.#reads, writes: this.#writes },
      memory: this.#dma.describe(),
      vectorsConnected: this.#vectors.filter((fd) => fd >= 0).length,
    }
  }

  #version(payload: Buffer): Uint8Array {
    const major = payload.readUInt16LE(0)
    const minor = payload.readUInt16LE(2)
    if (major !== 0) throw new RefusedError('version', `the client speaks vfio-user ${major}.${minor}, this server 0.0`)
    this.#clientVersion = `${major}.${minor}`
    // No migration, no write_multiple: clients take what is left out for absent.
    const capabilities = {
      max_msg_fds: MESSAGE_FDS_MAX,
      max_data_xfer_size: TRANSFER_MAX,
      pgsizes: 4096,
      max_dma_maps: MAX_DMA_MAPS,
    }
    return Buffer.concat([Buffer.alloc(4), Buffer.from(`${JSON.stringify({ capabilities })}\0`)])
  }

  #regionInfo(index: number): Uint8Array {
    if (index >= REGIONS) throw new RefusedError('not-there', `region ${index} does not exist`)
    const bytes = this.#device.regionBytes(index)
    // No region may be mapped: one that is turns the client's posted writes off for all.
    const info = Buffer.alloc(32)
    info.writeUInt32LE(32, 0)
    info.writeUInt32LE(bytes > 0 ? REGION_READ_WRITE : 0, 4)
    info.writeUInt32LE(index, 8)
    info.writeBigUInt64LE(BigInt(bytes), 16)
    return info
  }

  #irqInfo(index: number): Uint8Array {
    if (index >= IRQ_ERROR) throw new RefusedError('not-there', `interrupts of kind ${index} do not exist`)
    // Without "no resize": with it the client takes all eventfds away whenever it adds a vector.
    return words(16, index === IRQ_MSIX ? IRQ_EVENTFD : 0, index, index === IRQ_MSIX ? this.#device.vectors : 0)
  }

  #setIrqs(payload: Buffer, fds: PassedFds): void {
    const { flags, index, start, count } = decode.setIrqs(payload)
    const vectors = this.#vectors
    if (index !== IRQ_MSIX) {
      if (count === 0) return
      throw new RefusedError('irq', `interrupts of kind ${index} do not exist`)
    }
    if (start + count > vectors.length)
      throw new RefusedError('irq', `vectors ${start} to ${start + count - 1} are wanted, the function has ${vectors.length}`)
    if ((flags & SET_ACTION_TRIGGER) === 0)
      throw new RefusedError('irq', `interrupts can't be masked by flags 0x${flags.toString(16)}`)
    if (count === 0) this.#dropVectors()
    else if ((flags & SET_DATA_EVENTFD) !== 0) this.#replaceVectors(start, count, fds)
    else if ((flags & SET_DATA_NONE) !== 0)
      for (const fd of vectors.slice(start, start + count)) {
        if (fd >= 0) signalEventFd(fd)
      }
    else throw new RefusedError('irq', `interrupt data of flags 0x${flags.toString(16)} is not supported`)
  }

  #replaceVectors(start: number, count: number, fds: PassedFds): void {
    for (let i = 0; i < Math.min(count, fds.count); i++) checkEventFd(fds.peek(i))
    const old = this.#vectors.slice(start, start + count)
    for (let i = 0; i < count; i++) {
      const fd = fds.take(i)
      if (fd >= 0) setNonBlocking(fd, true)
      this.#vectors[start + i] = fd
    }
    this.#device.setVectors(this.#vectors)
    for (const fd of old) closeFd(fd)
  }

  #dropVectors(): void {
    const old = this.#vectors.slice()
    this.#vectors.fill(-1)
    this.#device.setVectors(this.#vectors)
    for (const fd of old) closeFd(fd)
  }

  #check(region: number, offset: number, bytes: number): void {
    const size = region < REGIONS ? this.#device.regionBytes(region) : 0
    if (offset + bytes > size)
      throw new RefusedError(
        'region-range',
        `an access of ${bytes} bytes at ${offset} of region ${region}, which has ${size} bytes`,
      )
  }

  #read(payload: Buffer): Uint8Array {
    const { region, offset, bytes } = decode.access(payload)
    this.#reads++
    this.#check(region, offset, bytes)
    const answer = Buffer.alloc(16 + bytes)
    payload.copy(answer, 0, 0, 16)
    this.#device.read(region, offset, answer.subarray(16))
    return answer
  }

  #write(payload: Buffer): Uint8Array {
    const { region, offset, bytes } = decode.access(payload)
    this.#writes++
    this.#check(region, offset, bytes)
    this.#device.write(region, offset, payload.subarray(16))
    return payload.subarray(0, 16)
  }
}

function words(...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length)
  for (const [i, value] of values.entries()) buffer.writeUInt32LE(value, 4 * i)
  return buffer
}

/** Throws RefusedError for a descriptor that is neither an eventfd (which has no file type) nor a pipe. */
function checkEventFd(fd: number): void {
  const stat = fstatSync(fd)
  if ((stat.mode & FILE_TYPE_MASK) !== 0 && !stat.isFIFO())
    throw new RefusedError('not-an-eventfd', 'a descriptor for interrupts is neither an eventfd nor a pipe')
}
