// Runs a lab on a switch that has been started from its plan: brings the guests up, shows traffic between them, says where
// everything is, and keeps running until it is told to stop.
//
// The rule it must not break: when it returns, every guest it started is gone. It never stops the switch, which is its caller's.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { reapLeftovers } from './children.ts'
import { type DemonstrationOptions, demonstrate } from './demonstration.ts'
import { LabError } from './errors.ts'
import { type LabGuest, QemuLabGuest, SoftwareLabGuest } from './lab-guest.ts'
import { driveFunction, pairedCards } from './paired-cards.ts'
import { type LabPlan, nicBackendOf, type PlannedGuest } from './plan.ts'
import { QemuGuest } from './qemu.ts'
import type { SwitchUnderLab } from './switch-under-lab.ts'

const PATIENCE_MS = 5_000
/** A kernel with drivers of PCI cards takes longer on an emulated processor. */
const PAIRED_BOOT_TIMEOUT_MS = 180_000
const EXIT_INTERRUPTED = 130

export interface LabOptions extends DemonstrationOptions {
  /** Return after the demonstration, instead of when interrupted. */
  readonly once: boolean
}

export interface LabComponents {
  readonly switchUnderLab: SwitchUnderLab
  /** Takes one line for the person who watches. */
  readonly write: (line: string) => void
  /** Aborted: stop everything (see interrupt.ts). */
  readonly interrupt: AbortSignal
}

export interface LabOutcome {
  readonly exitCode: number
  /** Why the exit code is not 0, for a person; null if it is 0. */
  readonly reason: string | null
}

/** Brings the planned guests up on the running switch. Never throws a LabError: it is the outcome. */
export async function runLab(plan: LabPlan, options: LabOptions, components: LabComponents): Promise<LabOutcome> {
  const { write, interrupt } = components
  const guests: LabGuest[] = []
  const interrupted = Promise.withResolvers<never>()
  interrupted.promise.catch(() => {})
  const onInterrupt = () => interrupted.reject(new LabError('interrupted', 'interrupted'))
  if (interrupt.aborted) onInterrupt()
  interrupt.addEventListener('abort', onInterrupt, { once: true })
  try {
    for (const note of plan.notes) write(note)
    guests.push(...(await makeGuests(plan, components)))
    await Promise.race([bringUp(guests, plan, write), interrupted.promise])
    await Promise.race([demonstrate(guests, options, { write }), interrupted.promise])
    writePlaces(plan, components)
    if (options.once) return { exitCode: 0, reason: null }
    write('running until Ctrl-C')
    return await untilStopped(guests, components)
  } catch (error) {
    if (!(error instanceof LabError)) throw error
    return { exitCode: error.code === 'interrupted' ? EXIT_INTERRUPTED : 1, reason: error.message }
  } finally {
    interrupt.removeEventListener('abort', onInterrupt)
    await Promise.all(guests.map((guest) => guest.stop()))
    if (guests.length > 0) write(`${guests.map((guest) => guest.name).join(', ')}: stopped`)
  }
}

async function makeGuests(plan: LabPlan, { switchUnderLab, write }: LabComponents): Promise<LabGuest[]> {
  const runDirectory = join(plan.config.runtime.directory, 'guests')
  await mkdir(runDirectory, { recursive: true, mode: 0o700 })
  for (const name of reapLeftovers(runDirectory)) write(`${name}: left over from an earlier run, ended`)
  return plan.guests.map((guest) =>
    guest.kind === 'qemu' ? makeQemuGuest(guest, plan, runDirectory) : makeSoftwareGuest(guest, switchUnderLab),
  )
}

function makeSoftwareGuest(guest: PlannedGuest, switchUnderLab: SwitchUnderLab): LabGuest {
  if (guest.address === undefined) throw new LabError('check-failed', `guest ${guest.name}: a software guest needs an address`)
  const path = switchUnderLab.portSocket(guest.port)
  return new SoftwareLabGuest({ name: guest.name, mac: guest.mac, address: guest.address, path })
}

function makeQemuGuest(guest: PlannedGuest, plan: LabPlan, runDirectory: string): LabGuest {
  const port = plan.config.switch.ports.find((candidate) => candidate.name === guest.port)
  if (plan.qemu === null || port === undefined)
    throw new LabError('check-failed', `guest ${guest.name}: the plan has no QEMU or no port "${guest.port}"`)
  const { choice, functions } = plan.qemu
  const withFunction = guest.functionPath !== null && functions !== undefined && 'program' in functions ? functions : null
  const mtu = 'mtu' in port.endpoint ? port.endpoint.mtu : undefined
  const nic = {
    mac: guest.mac,
    queues: guest.queues,
    backend: nicBackendOf(port.endpoint, guest.name),
    ...(guest.address === undefined ? {} : { address: guest.address }),
    ...(mtu === undefined || mtu === 1500 ? {} : { mtu }),
  }
  const common = { name: guest.name, runDirectory, accelerator: choice.accelerator, memoryMiB: guest.memoryMiB }
  if (withFunction !== null && 'path' in port.endpoint) {
    const extraArguments = pairedCards(guest.mac, port.endpoint.path, guest.functionPath!)
    const { program, image } = withFunction
    const qemu = new QemuGuest({ ...common, image, program, nics: [], extraArguments, bootTimeoutMs: PAIRED_BOOT_TIMEOUT_MS })
    return new QemuLabGuest(qemu, guest.address, driveFunction(guest.address))
  }
  const qemu = new QemuGuest({ ...common, image: plan.qemu.image, processors: guest.queues, nics: [nic] })
  return new QemuLabGuest(qemu, guest.address)
}

async function bringUp(guests: readonly LabGuest[], plan: LabPlan, write: (line: string) => void): Promise<void> {
  if (plan.qemu !== null) {
    const { accelerator, reason } = plan.qemu.choice
    write(`guests: Linux ${plan.qemu.image.release} on ${accelerator === 'kvm' ? 'KVM' : 'an emulated processor'} (${reason})`)
  }
  const waiting = new Set(guests.map((guest) => guest.name))
  const startedAtMs = performance.now()
  const elapsed = () => ((performance.now() - startedAtMs) / 1000).toFixed(1)
  const patience = setInterval(() => write(`waiting for ${[...waiting].join(', ')} (${elapsed()} s)`), PATIENCE_MS)
  try {
    await Promise.all(
      guests.map(async (guest) => {
        write(`${guest.name}: ${guest.kind === 'qemu' ? 'booting' : 'starting as a software guest'}`)
        await guest.start()
        waiting.delete(guest.name)
        write(`${guest.name}: up after ${elapsed()} s${guest.address === null ? '' : `, ${guest.address}`}`)
      }),
    )
  } finally {
    clearInterval(patience)
  }
}

function writePlaces(plan: LabPlan, { switchUnderLab, write }: LabComponents): void {
  const { name, controlSocket, captures } = switchUnderLab.describe()
  for (const { port, receivedFrames, sentFrames, droppedFrames } of switchUnderLab.counters())
    write(`port ${port}: ${receivedFrames} frames from it, ${sentFrames} to it, ${droppedFrames} dropped`)
  write(`switch ${name}: control socket ${controlSocket}`)
  for (const port of plan.config.switch.ports) {
    const { endpoint } = port
    if ('path' in endpoint) write(`port ${port.name}: ${endpoint.kind} socket ${endpoint.path}`)
  }
  for (const file of captures) write(`capture: ${file}`)
  write(`guests' consoles and logs: ${join(plan.config.runtime.directory, 'guests')}`)
}

/** Waits for the interrupt, which is the good end, or until no guest is left, which is not. */
async function untilStopped(guests: readonly LabGuest[], { write, interrupt }: LabComponents): Promise<LabOutcome> {
  const { promise, resolve } = Promise.withResolvers<LabOutcome>()
  const done = () => resolve({ exitCode: 0, reason: null })
  if (interrupt.aborted) done()
  interrupt.addEventListener('abort', done, { once: true })
  // A timer keeps the process alive where neither guests nor sockets do.
  const alive = setInterval(() => {}, 60_000)
  let left = guests.length
  for (const guest of guests)
    void guest.ended.then((reason) => {
      write(`${guest.name}: ${reason}`)
      if (--left === 0) resolve({ exitCode: 1, reason: 'all guests have ended' })
    })
  try {
    return await promise
  } finally {
    clearInterval(alive)
    interrupt.removeEventListener('abort', done)
  }
}
