// Errors of system calls, with the names that people search for.
import { constants } from 'node:os'

const names = new Map<number, string>(Object.entries(constants.errno).map(([name, value]) => [value, name]))

/** The symbolic name of an errno value, e.g. 98 → "EADDRINUSE". */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`
}

/** A system call failed. `code` is the errno name, `call` the function, `subject` what it was about (a path, an interface). */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError'
  readonly code: string
  readonly errno: number
  readonly call: string
  readonly subject: string

  constructor(call: string, errno: number, subject: string, explanation: string) {
    const code = errnoName(errno)
    super(`${call}${subject ? ` ${subject}` : ''}: ${code} (${explanation})`)
    this.code = code
    this.errno = errno
    this.call = call
    this.subject = subject
  }
}
