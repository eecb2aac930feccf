// Plugs virtual functions into guests of QEMU and out again, over QMP, for ports whose iov names a QMP socket.
//
// QEMU up to 11.1 ends when a vfio-user function is unplugged, but not when it takes the primary card of a failover pair away to migrate
// its guest. So there such a function is taken out by a migration to nowhere, too slow to ever end, and given back by calling it off.
// When the guest is to be migrated in earnest, that is called off too, and QEMU takes the function out by itself.
//
// The rule it must not break: a QEMU that is not there, or comes again, holds nothing up: it gets its function when it is there. One that
// a guest is on its way to gets it when the guest has come.
import { connect, type Socket } from 'node:net'
import type { VfPlug } from '../../engine/adapters/switch-adapters.ts'
import { QmpClient } from '../../lab/qmp.ts'
import type { ResolvedIov } from '../config/types.ts'
import type { EventLog } from '../host.ts'
import { vfDevice, vfNames } from './vf-devices.ts'

/** The last version of QEMU that ends when a vfio-user function is unplugged: 11.1. */
const UNPLUG_CRASHES_UNTIL = { major: 11, minor: 1 }
const RETRY_MS = 500

/** What the plug must know of a port. */
export interface PluggedPort {
  readonly iov: ResolvedIov
  readonly mac: string | null
}

export interface QmpPlugComponents {
  readonly port: (name: string) => PluggedPort | undefined
  readonly log: EventLog
}

/** An unplugging that came to nothing: the function is in the guest still. */
export class UnplugFailedError extends Error {
  override readonly name = 'UnplugFailedError'
  readonly code = 'unplug-failed'
}

/** Bytes per second of a migration that is not to end. */
const HOLD_BYTES_PER_SECOND = 1000
const POLL_MS = 20
/** Of a migration: QEMU waits for the guest to let go of its primary cards. */
const BEFORE_UNPLUG = ['setup', 'wait-unplug']
const UNPLUGGED = ['active', 'device', 'pre-switchover']
const UNDER_WAY = [...BEFORE_UNPLUG, ...UNPLUGGED, 'postcopy-active', 'cancelling']
/** How long frames for a guest wait for it to let go of its function: their place is small. */
const RELEASE_MS = 1000
/** Of a virtual machine: its guest is on its way from another QEMU. */
const INCOMING = 'inmigrate'

/** A connection to one QEMU. */
class QmpSession {
  readonly client: QmpClient
  readonly closed: Promise<void>
  readonly #deleted = new Map<string, () => void>()

  private constructor(socket: Socket) {
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()))
    this.client = new QmpClient(socket, {
      onEvent: ({ event, data }) => {
        if (event === 'DEVICE_DELETED' && typeof data.device === 'string') this.#deleted.get(data.device)?.()
      },
    })
  }

  static async open(path: string): Promise<QmpSession> {
    const socket = connect(path)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    const session = new QmpSession(socket)
    await session.client.negotiate()
    return session
  }

  /** Unplugs a device and waits until the guest has let go of it, or QEMU has ended. */
  async unplug(id: string): Promise<void> {
    const deleted = new Promise<void>((resolve) => this.#deleted.set(id, resolve))
    await this.client.execute('device_del', { id })
    await Promise.race([deleted, this.closed])
    this.#deleted.delete(id)
  }

  /** Waits until the guest is here, and stays: nothing can be plugged into it while it is on its way. */
  async settled(): Promise<void> {
    for (;;) {
      const { status } = (await this.client.execute('query-status')) as { status?: string }
      if (status !== INCOMING) break
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
    await this.migrationAfter(UNDER_WAY)
  }

  /** Waits while a migration is in one of these states; returns the next one. */
  async migrationAfter(states: readonly string[]): Promise<string> {
    for (;;) {
      const { status = 'none' } = (await this.client.execute('query-migrate')) as { status?: string }
      if (!states.includes(status)) return status
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }
}

/** A function that is to be plugged, or is. */
interface Plugging {
  readonly stop: AbortController
  session: QmpSession | undefined
  plugged: boolean
  done: Promise<void>
}

export class QmpPlug implements VfPlug {
  readonly #components: QmpPlugComponents
  readonly #pluggings = new Map<string, Plugging>()
  /** Ports whose function a migration keeps out, and the bandwidth that migrations had before. */
  readonly #heldOut = new Map<string, number>()
  /** Ports whose function is in the guest without a VF, until QEMU takes it out to migrate the guest. */
  readonly #letIn = new Set<string>()

  constructor(components: QmpPlugComponents) {
    this.#components = components
  }

  /** The function of `port` is plugged as soon as its QEMU is there, and anew into a QEMU that comes after it. */
  async plug(port: string): Promise<void> {
    const known = this.#components.port(port)
    if (known?.iov.qmp === undefined) return
    this.#letIn.delete(port)
    await this.#forget(port)
    const plugging: Plugging = { stop: new AbortController(), session: undefined, plugged: false, done: Promise.resolve() }
    plugging.done = this.#keepPlugged(port, known, known.iov.qmp, plugging)
    this.#pluggings.set(port, plugging)
  }

  /** Throws UnplugFailedError where QEMU can't take it out: the function stays, without a link. */
  async unplug(port: string): Promise<void> {
    const plugging = this.#pluggings.get(port)
    const known = this.#components.port(port)
    try {
      if (plugging?.plugged && plugging.session && known) await this.#takeOut(port, known, plugging.session)
    } finally {
      await this.#forget(port)
    }
  }

  /**
   * QEMU is about to migrate the guest, and takes the function out by itself: the switch lets go of both. A function that is kept out by
   * a migration to nowhere is given back: QEMU migrates one way at a time.
   */
  async leaving(port: string): Promise<void> {
    await this.#forget(port)
    if (!this.#heldOut.has(port)) return
    await this.#with(port, async (session) => {
      if (await this.#calledOff(port, session)) this.#letIn.add(port)
    })
  }

  /** The driver has stopped: while QEMU waits for the guest to let go of the function, so does the switch, but not for long. */
  async released(port: string): Promise<void> {
    const stop = new AbortController()
    const over = pause(RELEASE_MS, stop.signal)
    await this.#with(port, (session) => Promise.race([session.migrationAfter(BEFORE_UNPLUG), over])).catch(() => undefined)
    stop.abort()
  }

  /** QEMU has not migrated the guest: a function that `leaving` has given back is taken out again. */
  async staying(port: string): Promise<void> {
    if (!this.#letIn.delete(port)) return
    await this.#with(port, async (session) => {
      await session.migrationAfter(UNDER_WAY)
      await this.#holdOut(port, session)
    })
  }

  /** The port is gone. */
  async gone(port: string): Promise<void> {
    this.#heldOut.delete(port)
    this.#letIn.delete(port)
    await this.#forget(port)
  }

  /** Ends all connections; what is plugged stays. */
  async close(): Promise<void> {
    await Promise.all([...this.#pluggings.keys()].map((port) => this.#forget(port)))
  }

  /** A word with the QEMU of a port that nothing is plugged for, if it is there. */
  async #with(port: string, work: (session: QmpSession) => Promise<unknown>): Promise<void> {
    const path = this.#components.port(port)?.iov.qmp
    const session = path === undefined ? undefined : await QmpSession.open(path).catch(() => undefined)
    if (session === undefined) return
    try {
      await work(session)
    } finally {
      session.client.close()
    }
  }

  async #forget(port: string): Promise<void> {
    const plugging = this.#pluggings.get(port)
    if (plugging === undefined) return
    this.#pluggings.delete(port)
    plugging.stop.abort()
    plugging.session?.client.close()
    await plugging.done
  }

  async #takeOut(port: string, { iov }: PluggedPort, session: QmpSession): Promise<void> {
    const names = vfNames(port)
    const { client } = session
    if (iov.form === 'vhost-user') {
      await session.unplug(names.device)
      await client.execute('netdev_del', { id: names.netdev })
      await client.execute('chardev-remove', { id: names.chardev })
    } else if (await unplugIsSafe(session)) await session.unplug(names.device)
    else await this.#holdOut(port, session)
  }

  async #holdOut(port: string, session: QmpSession): Promise<void> {
    const { client } = session
    const before = (await client.execute('query-migrate-parameters')) as { 'max-bandwidth'?: number }
    await client.execute('migrate-set-parameters', { 'max-bandwidth': HOLD_BYTES_PER_SECOND })
    await client.execute('migrate', { uri: 'exec:cat >/dev/null' })
    this.#heldOut.set(port, before['max-bandwidth'] ?? 0)
    const status = await session.migrationAfter(BEFORE_UNPLUG)
    if (UNPLUGGED.includes(status)) return
    this.#heldOut.delete(port)
    throw new UnplugFailedError(`QEMU did not take the virtual function out of the guest (migration ${status})`)
  }

  /** Gives a function back that a migration keeps out; false: there is none in this QEMU. */
  async #calledOff(port: string, session: QmpSession): Promise<boolean> {
    const bandwidth = this.#heldOut.get(port)
    if (bandwidth === undefined) return false
    this.#heldOut.delete(port)
    const { client } = session
    if (!UNPLUGGED.includes(await session.migrationAfter(BEFORE_UNPLUG))) return false // another QEMU, or it was called off by others
    await client.execute('migrate_cancel')
    await session.migrationAfter([...UNPLUGGED, 'cancelling'])
    await client.execute('migrate-set-parameters', { 'max-bandwidth': bandwidth })
    return true
  }

  async #keepPlugged(port: string, known: PluggedPort, path: string, plugging: Plugging): Promise<void> {
    const { signal } = plugging.stop
    const log = (code: string, message: string): void => this.#components.log({ source: `port ${port}`, code, message })
    while (!signal.aborted) {
      const session = await QmpSession.open(path).catch(() => undefined)
      if (session !== undefined && !signal.aborted) {
        plugging.session = session
        try {
          if (!(await this.#calledOff(port, session))) {
            await session.settled()
            await putIn(port, known, session)
          }
          plugging.plugged = true
          log('vf-plugged', 'the virtual function is plugged into the guest')
        } catch (error) {
          if (!signal.aborted) log('vf-not-plugged', error instanceof Error ? error.message : String(error))
        }
        await session.closed
        plugging.plugged = false
        plugging.session = undefined
      } else session?.client.close()
      if (!signal.aborted) await pause(RETRY_MS, signal)
    }
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    timer.unref()
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })

async function putIn(port: string, { iov, mac }: PluggedPort, { client }: QmpSession): Promise<void> {
  const names = vfNames(port)
  const device = vfDevice(port, iov, { mac, paired: true })
  if (iov.form === 'vfio-user') {
    // A function that could not be unplugged is there still.
    await client.execute('device_add', device).catch((error: Error) => {
      if (!/duplicate/i.test(error.message)) throw error
    })
    return
  }
  const undo: (() => Promise<unknown>)[] = []
  try {
    const address = { type: 'unix', data: { path: iov.path } }
    await client.execute('chardev-add', {
      id: names.chardev,
      backend: { type: 'socket', data: { addr: address, server: false } },
    })
    undo.unshift(() => client.execute('chardev-remove', { id: names.chardev }))
    const queues = iov.queuePairs > 1 ? { queues: iov.queuePairs } : {}
    await client.execute('netdev_add', { type: 'vhost-user', id: names.netdev, chardev: names.chardev, ...queues })
    undo.unshift(() => client.execute('netdev_del', { id: names.netdev }))
    await client.execute('device_add', device)
  } catch (error) {
    for (const step of undo) await step().catch(() => undefined)
    throw error
  }
}

async function unplugIsSafe({ client }: QmpSession): Promise<boolean> {
  const { qemu } = (await client.execute('query-version')) as { qemu: { major: number; minor: number } }
  const { major, minor } = UNPLUG_CRASHES_UNTIL
  return qemu.major > major || (qemu.major === major && qemu.minor > minor)
}
