// Whether a control socket is in use, and making its path free for a new one.
//
// The rule it must not break: nothing is removed but a socket that nobody listens on.
import { lstatSync, mkdirSync, unlinkSync } from 'node:fs'
import { createConnection } from 'node:net'
import { dirname } from 'node:path'
import { SOCKET_PATH_MAX_BYTES } from '../config/limits.ts'
import { ControlError } from './control-errors.ts'

const DIRECTORY_MODE = 0o700

/** Makes the directory and removes a socket that nobody listens on; answers whether it made it. Throws if `path` can't be used. */
export async function claimSocketPath(path: string): Promise<boolean> {
  const length = Buffer.byteLength(path)
  if (length > SOCKET_PATH_MAX_BYTES)
    throw new ControlError(
      'socket-path-too-long',
      `${path} has ${length} bytes, a socket's path at most ${SOCKET_PATH_MAX_BYTES}: choose a shorter runtime.directory`,
    )
  const made = mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE }) !== undefined
  const facts = lstatSync(path, { throwIfNoEntry: false })
  if (facts === undefined) return made
  if (!facts.isSocket())
    throw new ControlError('socket-blocked', `${path} exists and is no socket: remove it or choose another runtime.control`)
  if (await isAnswered(path))
    throw new ControlError(
      'socket-in-use',
      `a switch already runs at ${path}: stop it (Ctrl-C where it runs), or give this one another switch.name`,
    )
  unlinkSync(path)
  return made
}

/** Whether a process accepts connections at the unix socket `path`. */
export function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = createConnection(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false)
      else if (error.code === 'EAGAIN') resolve(true)
      else reject(error)
    })
  })
}
