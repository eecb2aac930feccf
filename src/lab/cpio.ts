// Writes cpio archives in the "newc" form, the one the Linux kernel unpacks as its initial file system. Pure: bytes in, bytes out.
// The same entries always give the same bytes (times are 0, numbers count up), so that an image can be cached by its content.

const MAGIC = '070701'
const TRAILER = 'TRAILER!!!'
const BLOCK_BYTES = 512

const FileType = { directory: 0o040000, file: 0o100000, symlink: 0o120000, characterDevice: 0o020000 } as const

export type CpioEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode?: number }
  | { readonly kind: 'file'; readonly path: string; readonly data: Uint8Array; readonly mode?: number }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'device'; readonly path: string; readonly major: number; readonly minor: number; readonly mode?: number }

const hex = (value: number): string => value.toString(16).padStart(8, '0')

function member(path: string, mode: number, data: Uint8Array, inode: number, device: readonly [number, number]): Buffer {
  const name = Buffer.from(`${path}\0`)
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, device[0], device[1], name.length, 0]
  const header = Buffer.from(MAGIC + fields.map(hex).join(''))
  const nameEnd = header.length + name.length
  const dataStart = (nameEnd + 3) & ~3
  const out = Buffer.alloc((dataStart + data.length + 3) & ~3)
  header.copy(out)
  name.copy(out, header.length)
  out.set(data, dataStart)
  return out
}

function write(entry: CpioEntry, inode: number): Buffer {
  const none = new Uint8Array(0)
  switch (entry.kind) {
    case 'directory':
      return member(entry.path, FileType.directory | (entry.mode ?? 0o755), none, inode, [0, 0])
    case 'file':
      return member(entry.path, FileType.file | (entry.mode ?? 0o644), entry.data, inode, [0, 0])
    case 'symlink':
      return member(entry.path, FileType.symlink | 0o777, Buffer.from(entry.target), inode, [0, 0])
    case 'device':
      return member(entry.path, FileType.characterDevice | (entry.mode ?? 0o600), none, inode, [entry.major, entry.minor])
  }
}

/** The archive of `entries`, in order (a folder must come before what it holds). Paths are relative, without a leading slash. */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const members = entries.map((entry, index) => write(entry, index + 1))
  members.push(member(TRAILER, 0, new Uint8Array(0), 0, [0, 0]))
  const length = members.reduce((sum, bytes) => sum + bytes.length, 0)
  const padding = (BLOCK_BYTES - (length % BLOCK_BYTES)) % BLOCK_BYTES
  return Buffer.concat([...members, Buffer.alloc(padding)])
}
