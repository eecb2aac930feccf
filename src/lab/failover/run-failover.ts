// Runs a failover lab on a switch that has been started: load between a guest that has a virtual function and its peer, the schedule's
// actions meanwhile, and then the account of every frame.
//
// The rule it must not break: what an action costs is measured at the guests; what the switch says of itself is not believed.
import { setTimeout as sleep } from 'node:timers/promises'
import type { SwitchAdapters } from '../../engine/adapter-config.ts'
import { exhaust } from './exhaust.ts'
import type { LoadOptions, LoadOutcome } from './guest-messages.ts'
import type { StreamRecord } from './numbered-frames.ts'
import type { TornOut } from './paired-guest.ts'
import type { PlannedAction } from './schedule.ts'
import type { TcpOutcome } from './tcp-stream.ts'
import { type Account, accountFor, type DoneAction } from './transitions.ts'

export interface FailoverLoad extends LoadOptions {
  /** How long, in seconds. */
  readonly seconds: number
}

/** What is to be done, to whom. */
export interface FailoverRun {
  /** Port of the guest whose function comes and goes; also the guest's name here. */
  readonly port: string
  readonly peer: string
  readonly load: FailoverLoad
  readonly actions: readonly PlannedAction[]
}

/** The guests, whatever they run on. */
export interface FailoverGuests {
  readonly kind: 'software' | 'qemu'
  startLoad(guest: string, peer: string, options: LoadOptions): Promise<void>
  finishLoad(): Promise<LoadOutcome>
}

export interface FailoverComponents {
  readonly adapters: SwitchAdapters
  /** What the switch dropped so far, by port and reason. */
  readonly drops: () => readonly { readonly port: string; readonly reasons: Readonly<Record<string, number>> }[]
  readonly guests: FailoverGuests
  /** Takes a line for the person who watches. */
  readonly write: (line: string) => void
  /** Aborted: no further action. */
  readonly interrupt: AbortSignal
}

export interface FailoverResult {
  readonly guests: 'software' | 'qemu'
  readonly port: string
  readonly peer: string
  readonly load: FailoverLoad
  /** When the load began, on the records' clock. */
  readonly beganUs: number
  readonly account: Account
  readonly records: readonly StreamRecord[]
  readonly tcp: TcpOutcome | null
  /** What switch and adapter say that they dropped, by place: `port alpha: receive-ring-full`. Counters of VPorts that are gone are not in it. */
  readonly drops: Readonly<Record<string, number>>
  /** What should not have been: empty if all went as it must. */
  readonly problems: readonly string[]
}

const ACTIVE_TIMEOUT_MS = 10_000
const POLL_MS = 1
const EXHAUST_HOLD_MS = 20

/** Microseconds since the epoch. */
const epochUs = (): number => (performance.timeOrigin + performance.now()) * 1000

export async function runFailover(run: FailoverRun, components: FailoverComponents): Promise<FailoverResult> {
  const { adapters, guests, interrupt } = components
  await untilActive(adapters, run.port)
  const beganUs = epochUs()
  await guests.startLoad(run.port, run.peer, run.load)
  const done: Omit<DoneAction, 'inRings'>[] = []
  for (const action of run.actions) {
    await wait(beganUs / 1000 + action.atMs, interrupt)
    if (interrupt.aborted) break
    done.push(await carryOut(action, run, components))
  }
  await wait(beganUs / 1000 + run.load.seconds * 1000, interrupt)
  const { streams, tcp, timeOrigin, tornOut } = await guests.finishLoad()
  const onRecords = (atUs: number): number => atUs - timeOrigin * 1000
  const actions = done.map((action, i): DoneAction => {
    const shifted = { ...action, beganUs: onRecords(action.beganUs), endedUs: onRecords(action.endedUs) }
    const next = done[i + 1] ? onRecords(done[i + 1]!.beganUs) : Number.POSITIVE_INFINITY
    return { ...shifted, inRings: heldIn(tornOut[run.port] ?? [], shifted.beganUs, next) }
  })
  const account = accountFor(actions, streams)
  const { port, peer, load } = run
  return {
    guests: guests.kind,
    port,
    peer,
    load,
    beganUs: onRecords(beganUs),
    account,
    records: streams,
    tcp,
    drops: dropsOf(components),
    problems: problemsOf(account, tcp, guests.kind === 'software'),
  }
}

function dropsOf({ adapters, drops }: Pick<FailoverComponents, 'adapters' | 'drops'>): Record<string, number> {
  const found: Record<string, number> = {}
  const note = (place: string, reasons: Readonly<Record<string, number>>): void => {
    for (const [reason, frames] of Object.entries(reasons)) if (frames > 0) found[`${place}: ${reason}`] = frames
  }
  for (const { port, reasons } of drops()) note(`port ${port}`, reasons)
  for (const { name, vports, wireDrops } of adapters.list()) {
    note(`wire of ${name}`, wireDrops)
    for (const vport of vports) note(`VPort ${vport.name} of ${name}`, vport.drops)
  }
  return found
}

const heldIn = (tornOut: readonly TornOut[], fromUs: number, toUs: number): number =>
  tornOut.filter(({ atUs }) => atUs >= fromUs && atUs < toUs).reduce((total, { unsent }) => total + unsent, 0)

/** Until a moment in milliseconds since the epoch, or the interrupt. */
async function wait(untilMs: number, signal: AbortSignal): Promise<void> {
  const ms = untilMs - epochUs() / 1000
  if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => undefined)
}

/** Whether the port's traffic goes through a function within the time. */
async function untilActive(adapters: SwitchAdapters, port: string): Promise<boolean> {
  for (const end = performance.now() + ACTIVE_TIMEOUT_MS; performance.now() < end; await sleep(POLL_MS)) {
    const assigned = adapters.list().flatMap((adapter) => adapter.assigned)
    if (assigned.some((one) => one.port === port && one.state === 'active')) return true
  }
  return false
}

async function carryOut(
  { action, target }: PlannedAction,
  run: FailoverRun,
  components: FailoverComponents,
): Promise<Omit<DoneAction, 'inRings'>> {
  const beganUs = epochUs()
  let note = ''
  let failed = false
  try {
    note = await act(action, target, run, components)
  } catch (error) {
    failed = true
    note = (error as Error).message
  }
  components.write(`${action} ${target}${note === '' ? '' : `: ${note}`}`)
  return { action, target, beganUs, endedUs: epochUs(), note, failed }
}

/** Returns what there is to say. */
async function act(
  action: PlannedAction['action'],
  target: string,
  run: FailoverRun,
  { adapters }: FailoverComponents,
): Promise<string> {
  const active = async (): Promise<string> => {
    if (!(await untilActive(adapters, run.port))) throw new Error(`port "${run.port}": no traffic through the virtual function`)
    return ''
  }
  switch (action) {
    case 'remove':
      return adapters.remove(target).then(() => '')
    case 'surprise':
      return adapters.remove(target, true).then(() => '')
    case 'assign':
      await adapters.assign(target)
      return target === run.port ? active() : ''
    case 'reset':
      return adapters.reset(target).then(() => '')
    case 'pull':
      return adapters.pull(target).then(() => '')
    case 'plug':
      await adapters.plug(target)
      return active()
    case 'exhaust': {
      const { vfs, vports, status } = await exhaust(adapters, target, EXHAUST_HOLD_MS)
      return `${vfs} VFs and ${vports} VPorts taken, then ${status}; given back`
    }
  }
}

/** Torn out: what the rings held is lost with the function. */
const TEARS = new Set(['surprise', 'pull'])
const GIVES = new Set(['assign', 'plug'])

/**
 * `isSoftware`: the guest tells what a function's rings hold when it is torn out, and takes frames from either card. A Linux guest takes
 * none from the virtio card as soon as the function has a driver, and none from the function before that driver is ready.
 */
function problemsOf({ start, transitions }: Account, tcp: TcpOutcome | null, isSoftware: boolean): string[] {
  const problems: string[] = []
  for (const { stream, lost } of start) if (lost > 0) problems.push(`before the first action: ${lost} frames lost (${stream})`)
  for (const { action, target, failed, note, lost, duplicated, inRings } of transitions) {
    if (failed) problems.push(`${action} ${target} failed: ${note}`)
    if (duplicated > 0) problems.push(`${action} ${target}: ${duplicated} frames came twice`)
    if (TEARS.has(action)) {
      if (isSoftware && lost > inRings)
        problems.push(`${action} ${target}: ${lost} frames lost, the function's rings held ${inRings}`)
    } else if (lost > 0 && (isSoftware || !GIVES.has(action))) problems.push(`${action} ${target}: ${lost} frames lost`)
  }
  if (tcp !== null && !tcp.intact) problems.push(`TCP: ${tcp.error} (${tcp.receivedBytes} of ${tcp.sentBytes} bytes)`)
  return problems
}
