// Waits at a unix socket for the one program we have just started. The guest's processes connect to us rather than we to them: no
// polling for a socket file, no byte lost between their start and our connection.
import { createServer, type Socket } from 'node:net'
import { LabError } from './errors.ts'

const UNIX_PATH_MAX_BYTES = 107

/** Throws `path-too-long` for a path that no unix socket can have. */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes > UNIX_PATH_MAX_BYTES)
    throw new LabError(
      'path-too-long',
      `${path}: a socket path has at most ${UNIX_PATH_MAX_BYTES} bytes, this one ${bytes}; choose a shorter run directory`,
    )
}

export interface Waiting {
  readonly path: string
  /** Resolves with the connection; never settles if `close` comes first. */
  readonly socket: Promise<Socket>
  close(): void
}

/** Listens at `path` and takes exactly one connection. */
export async function acceptOne(path: string): Promise<Waiting> {
  checkSocketPath(path)
  const accepted = Promise.withResolvers<Socket>()
  const listening = Promise.withResolvers<void>()
  const server = createServer((socket) => {
    server.close()
    accepted.resolve(socket)
  })
  server.on('error', (error) => listening.reject(error))
  server.listen(path, () => listening.resolve())
  await listening.promise
  return { path, socket: accepted.promise, close: () => server.close() }
}
