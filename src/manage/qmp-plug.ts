// Plugs virtual functions into guests of QEMU and out again, over QMP, for ports whose iov names a QMP socket.
//
// The rule it must not break: a QEMU that is not there, or comes again, holds nothing up: it gets its function when it is there.
import { connect, type Socket } from 'node:net'
import type { VfPlug } from '../engine/adapters/switch-adapters.ts'
import { QmpClient } from '../lab/qmp.ts'
import type { ResolvedIov } from './config/types.ts'
import type { EventLog } from './host.ts'
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

/** An unplugging that QEMU would not survive. */
export class UnplugRefusedError extends Error {
  override readonly name = 'UnplugRefusedError'
  readonly code = 'unplug-refused'
}

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

  constructor(components: QmpPlugComponents) {
    this.#components = components
  }

  /** The function of `port` is plugged as soon as its QEMU is there, and anew into a QEMU that comes after it. */
  async plug(port: string): Promise<void> {
    const known = this.#components.port(port)
    if (known?.iov.qmp === undefined) return
    await this.#forget(port)
    const plugging: Plugging = { stop: new AbortController(), session: undefined, plugged: false, done: Promise.resolve() }
    plugging.done = this.#keepPlugged(port, known, known.iov.qmp, plugging)
    this.#pluggings.set(port, plugging)
  }

  /** Throws UnplugRefusedError where QEMU would not survive it: the function stays, without a link. */
  async unplug(port: string): Promise<void> {
    const plugging = this.#pluggings.get(port)
    const known = this.#components.port(port)
    try {
      if (plugging?.plugged && plugging.session && known) await takeOut(port, known, plugging.session)
    } finally {
      await this.#forget(port)
    }
  }

  /** Ends all connections; what is plugged stays. */
  async close(): Promise<void> {
    await Promise.all([...this.#pluggings.keys()].map((port) => this.#forget(port)))
  }

  async #forget(port: string): Promise<void> {
    const plugging = this.#pluggings.get(port)
    if (plugging === undefined) return
    this.#pluggings.delete(port)
    plugging.stop.abort()
    plugging.session?.client.close()
    await plugging.done
  }

  async #keepPlugged(port: string, known: PluggedPort, path: string, plugging: Plugging): Promise<void> {
    const { signal } = plugging.stop
    const log = (code: string, message: string): void => this.#components.log({ source: `port ${port}`, code, message })
    while (!signal.aborted) {
      const session = await QmpSession.open(path).catch(() => undefined)
      if (session !== undefined && !signal.aborted) {
        plugging.session = session
        try {
          await putIn(port, known, session)
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

async function takeOut(port: string, { iov }: PluggedPort, session: QmpSession): Promise<void> {
  const names = vfNames(port)
  const { client } = session
  if (iov.form === 'vfio-user') {
    const { qemu } = (await client.execute('query-version')) as { qemu: { major: number; minor: number; micro: number } }
    const { major, minor } = UNPLUG_CRASHES_UNTIL
    if (qemu.major < major || (qemu.major === major && qemu.minor <= minor))
      throw new UnplugRefusedError(
        `QEMU ${qemu.major}.${qemu.minor}.${qemu.micro} ends when a virtual function is unplugged: it stays in the guest, without a link`,
      )
    return session.unplug(names.device)
  }
  await session.unplug(names.device)
  await client.execute('netdev_del', { id: names.netdev })
  await client.execute('chardev-remove', { id: names.chardev })
}
