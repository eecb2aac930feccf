// What a service tells the manager that started it (systemd): ready, stopping, alive, in datagrams to the socket in NOTIFY_SOCKET.
//
// The rule it must not break: without a manager, or with one that does not listen, nothing happens and nothing fails.
import { SystemCallError } from './errors.ts'
import { check, closeFd } from './files.ts'
import { sys } from './libc.ts'
import { openSocket, SocketType, sendWithFds, unixAddress } from './sockets.ts'

/** Offset of a unix socket's path in its address. */
const PATH_OFFSET = 2
/** The manager ends a service that was silent for WATCHDOG_USEC: it hears of us three times in that time. */
const TELLS_PER_WATCHDOG = 3

export interface ServiceManager {
  /** Milliseconds between two signs of life that the manager wants; 0: none. */
  readonly watchdogMs: number
  /** Tells it a state, such as `READY=1`; several stand on lines. Returns whether it was told. */
  tell(state: string): boolean
}

type Environment = Readonly<Record<string, string | undefined>>

/** The manager that `env` names. */
export function serviceManager(env: Environment, pid: number): ServiceManager {
  const socket = env.NOTIFY_SOCKET
  const watched = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(pid)
  const microseconds = watched && /^\d+$/.test(env.WATCHDOG_USEC ?? '') ? Number(env.WATCHDOG_USEC) : 0
  return {
    watchdogMs: socket ? Math.floor(microseconds / 1000 / TELLS_PER_WATCHDOG) : 0,
    tell: (state) => (socket ? send(socket, state) : false),
  }
}

function send(socket: string, state: string): boolean {
  if (!/^[/@]./.test(socket)) return false
  let fd = -1
  try {
    const address = unixAddress(socket)
    const isAbstract = socket.startsWith('@')
    if (isAbstract) address[PATH_OFFSET] = 0
    // The length of an abstract name counts: it has no end of its own.
    const length = isAbstract ? PATH_OFFSET + Buffer.byteLength(socket) : address.length
    fd = openSocket(SocketType.datagram)
    check('connect', sys.connect(fd, address, length), socket)
    return sendWithFds(fd, Buffer.from(state)) > 0
  } catch (error) {
    if (error instanceof SystemCallError) return false
    throw error
  } finally {
    closeFd(fd)
  }
}
