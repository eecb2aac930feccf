// What guests that boot over the network fetch, by the kind of firmware that asks (RFC 4578, RFC 3004).
//
// The rule it must not break: the first file of the list whose conditions all fit is the one; a guest that fits none is told of none.
import { OptionError, OptionReader } from '../../extension.ts'
import { ipv4At } from './address-values.ts'

const FILES_MAX = 32
/** Room of the field `file` of a message, less the zero that ends it. */
const FILE_FIELD_BYTES = 127
const FILE_BYTES_MAX = 255
const ARCHITECTURE_MAX = 0xffff

/** Kinds of firmware by their names here: the numbers that they send (IANA, "Processor Architecture Types"). */
const architectures = {
  bios: [0],
  uefi: [6, 7, 9],
  arm64: [11],
  http: [15, 16, 17, 18, 19, 20],
} as const

export interface BootFile {
  readonly file: string
  /** Where it is: told as the next server. undefined: the file is a URL, or lies with the server itself. */
  readonly server: number | undefined
  /** Numbers of the firmware that it is for; empty: any. */
  readonly architectures: readonly number[]
  /** Text that the user class holds, such as iPXE; undefined: any. */
  readonly userClass: string | undefined
}

/** Who asks, as far as files to boot go. */
export interface BootClient {
  readonly architecture: number | undefined
  readonly userClass: string
}

const isUrl = (text: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(text)

function readArchitecture(reader: OptionReader): readonly number[] {
  const value = reader.value('architecture')
  if (value === undefined) return []
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= ARCHITECTURE_MAX) return [value]
  if (typeof value === 'string' && Object.hasOwn(architectures, value)) return architectures[value as keyof typeof architectures]
  throw reader.error('architecture', `is none of ${Object.keys(architectures).join(', ')}, nor a number of one`)
}

function readFile(raw: unknown, path: string): BootFile {
  const reader = new OptionReader(raw, path)
  const file = reader.text('file')
  if (file === undefined) throw reader.error('file', 'is missing: write the name of a file, or its URL')
  if (file.length > FILE_BYTES_MAX || !/^[\x21-\x7e]+$/.test(file))
    throw reader.error('file', `is not a name of at most ${FILE_BYTES_MAX} letters without spaces`)
  const at = reader.value('server')
  const address = at === undefined ? undefined : ipv4At(at, reader.path('server'))
  const one = { file, server: address, architectures: readArchitecture(reader), userClass: reader.text('userClass') }
  reader.done()
  if (address === undefined && !isUrl(file))
    throw reader.error('server', `is missing: who has ${file}? Write an IPv4 address, or a URL as file`)
  return one
}

/** Reads the option `boot` of a network. Throws OptionError. */
export function readBoot(reader: OptionReader): readonly BootFile[] {
  const files = reader.list('boot', readFile) ?? []
  if (files.length > FILES_MAX)
    throw new OptionError(reader.path('boot'), `has ${files.length} files: write at most ${FILES_MAX}`)
  return files
}

/** The file for a client, or undefined. */
export function bootFileFor(files: readonly BootFile[], { architecture, userClass }: BootClient): BootFile | undefined {
  const fits = (one: BootFile): boolean =>
    (one.architectures.length === 0 || (architecture !== undefined && one.architectures.includes(architecture))) &&
    (one.userClass === undefined || userClass.includes(one.userClass))
  return files.find(fits)
}

/** Whether firmware of this architecture boots over HTTP: it takes an answer only if that says so too. */
export const bootsByHttp = (architecture: number | undefined): boolean =>
  architecture !== undefined && (architectures.http as readonly number[]).includes(architecture)

/** Whether a name fits into the field `file` of a message; a longer one goes as an option alone. */
export const fitsFileField = (file: string): boolean => file.length <= FILE_FIELD_BYTES
