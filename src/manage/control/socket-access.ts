// Who is at the other end of the control socket, by what the kernel says of the peer; and opening the socket to a group that may look.
//
// The rule it must not break: only root and the owner of the process are admins, whoever else can open the socket.
import { chmodSync, chownSync, lstatSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { dirname } from 'node:path'
import { peerCredentials } from '../../linux/sockets.ts'
import type { Caller } from './access.ts'
import { ControlError } from './control-errors.ts'

export const OWNER_MODE = 0o600
export const GROUP_MODE = 0o660
const DIRECTORY_GROUP_MODE = 0o710
const MAY_PASS = 0o001
const GROUP_MAY_PASS = 0o010

/** The number of the group `name`, which may be a number itself. Throws ControlError `no-such-group`. */
export function groupId(name: string, groups: string = readFileSync('/etc/group', 'utf8')): number {
  if (/^\d{1,9}$/.test(name)) return Number(name)
  const [, , id] = groups.split('\n').flatMap((line) => (line.startsWith(`${name}:`) ? [line.split(':')] : []))[0] ?? []
  if (id === undefined || !/^\d+$/.test(id))
    throw new ControlError('no-such-group', `this machine has no group "${name}": make it with groupadd ${name}`)
  return Number(id)
}

/**
 * Lets the group `group` open the socket at `path`. A directory of the socket that was `made` for it lets the group through; one that was
 * there already must. Throws ControlError `group-can-not-reach`.
 */
export function openToGroup(path: string, group: number, made: boolean): void {
  const directory = dirname(path)
  if (made) {
    chownSync(directory, -1, group)
    chmodSync(directory, DIRECTORY_GROUP_MODE)
  }
  for (let at = directory; ; at = dirname(at)) {
    const { mode, gid } = lstatSync(at)
    if ((mode & MAY_PASS) === 0 && !(gid === group && (mode & GROUP_MAY_PASS) !== 0))
      throw new ControlError(
        'group-can-not-reach',
        `${at} lets group ${group} not through to the control socket: chgrp ${group} ${at} && chmod g+x ${at}, or choose another --control PATH`,
      )
    if (at === dirname(at)) break
  }
  chownSync(path, -1, group)
  chmodSync(path, GROUP_MODE)
}

/** The role of user `uid` at the socket of a process of `own`. */
export const socketRole = (uid: number, own: number): Caller['role'] => (uid === 0 || uid === own ? 'admin' : 'reader')

const callers = new WeakMap<Socket, Caller>()

/** Who is at the other end of a connection of the control socket. Who can't be told is a reader. */
export function socketCaller(socket: Socket): Caller {
  const known = callers.get(socket)
  if (known !== undefined) return known
  const { fd = -1 } = (socket as unknown as { readonly _handle?: { readonly fd?: number } })._handle ?? {}
  const peer = fd < 0 ? null : peerCredentials(fd)
  const caller: Caller =
    peer === null
      ? { name: 'unknown', role: 'reader', from: 'socket' }
      : { name: `uid ${peer.uid}`, role: socketRole(peer.uid, process.geteuid?.() ?? 0), from: `process ${peer.pid}` }
  callers.set(socket, caller)
  return caller
}
