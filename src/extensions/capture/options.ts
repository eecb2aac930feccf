// Options of the capture extension.
import { compileFilter, EtherType, OptionError, OptionReader } from '../../extension.ts'

export const SNAP_BYTES_MAX = 65562
const SNAP_BYTES_DEFAULT = 128
const BUFFER_BYTES_DEFAULT = 4 << 20

export interface CaptureOptions {
  /** Path of the capture, relative to the runtime directory; '-' = standard output. */
  readonly file: string
  /** Bytes kept of each frame. */
  readonly snapBytes: number
  readonly direction: 'inbound' | 'outbound' | 'both'
  /** Names of the ports to capture at; undefined = all. */
  readonly ports: readonly string[] | undefined
  /** Ether types to capture; undefined = all. */
  readonly etherTypes: readonly number[] | undefined
  /** Filter in the words of tcpdump; undefined = everything. */
  readonly filter: string | undefined
  /** Whether dropped frames are recorded once more, with the reason. */
  readonly dropped: boolean
  readonly bufferBytes: number
  /** 0 = one file. */
  readonly rotateBytes: number
  readonly rotateFiles: number
}

function readEtherType(value: unknown, path: string): number {
  if (typeof value === 'string') {
    const named = Object.entries(EtherType).find(([name]) => name === value)
    if (named) return named[1]
    if (/^0x[0-9a-f]{1,4}$/i.test(value)) return Number.parseInt(value, 16)
  }
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff) return value
  const names = Object.keys(EtherType).join(', ')
  throw new OptionError(path, `${JSON.stringify(value)} is not an ether type: write one of ${names}, or a number like 0x88cc`)
}

// Compiled again where it is used: options go from thread to thread as data.
function readFilter(reader: OptionReader): string | undefined {
  const filter = reader.text('filter')
  if (filter === undefined) return undefined
  try {
    compileFilter(filter)
  } catch (error) {
    throw reader.error('filter', (error as Error).message)
  }
  return filter
}

/** Checks the configured options. */
export function parseCaptureOptions(raw: unknown): CaptureOptions {
  const reader = new OptionReader(raw)
  const options: CaptureOptions = {
    file: reader.text('file') ?? 'capture.pcapng',
    snapBytes: reader.integer('snapBytes', 14, SNAP_BYTES_MAX) ?? SNAP_BYTES_DEFAULT,
    direction: reader.choice('direction', ['inbound', 'outbound', 'both']) ?? 'both',
    ports: reader.names('ports'),
    etherTypes: reader.list('etherTypes', readEtherType),
    filter: readFilter(reader),
    dropped: reader.boolean('dropped') ?? true,
    bufferBytes: reader.integer('bufferBytes', 1 << 17, 1 << 28) ?? BUFFER_BYTES_DEFAULT,
    rotateBytes: reader.integer('rotateBytes', 0, 2 ** 40) ?? 0,
    rotateFiles: reader.integer('rotateFiles', 1, 1000) ?? 10,
  }
  reader.done()
  if ((options.bufferBytes & (options.bufferBytes - 1)) !== 0)
    throw reader.error('bufferBytes', `${options.bufferBytes} is not a power of two: write for example ${BUFFER_BYTES_DEFAULT}`)
  if (options.rotateBytes !== 0 && options.rotateBytes < options.bufferBytes / 64)
    throw reader.error(
      'rotateBytes',
      `files of ${options.rotateBytes} bytes are too small: write at least ${options.bufferBytes / 64}`,
    )
  return options
}
