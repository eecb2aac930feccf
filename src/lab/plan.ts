// Decides, before the switch is started, how each guest of a lab will run: under QEMU where that is possible, as a software guest
// where not. A software guest speaks to a stream socket, so its port gets one in place of what the configuration says.
//
// The rule it must not break: nothing is replaced in silence. Every step down is in `notes`, with its reason and its remedy.
import { join } from 'node:path'
import type { EndpointConfig, GuestConfig, ResolvedConfig, ResolvedPort } from '../manage/config/types.ts'
import { type AcceleratorChoice, chooseAccelerator } from './accelerator.ts'
import { LabError } from './errors.ts'
import { ensureGuestImage, type GuestImage } from './images.ts'
import type { GuestKind } from './lab-guest.ts'
import { ensureNewQemu } from './new-qemu.ts'
import { QEMU_PROGRAM } from './qemu.ts'
import type { NicBackend } from './qemu-arguments.ts'
import { findProgram } from './run-program.ts'

/** What QEMU guests run on. */
export interface QemuGround {
  readonly image: GuestImage
  readonly choice: AcceleratorChoice
  /** For guests with virtual functions: a QEMU that speaks vfio-user, and an image with igbvf; or why there is none. Absent: not asked for. */
  readonly functions?: { readonly program: string; readonly image: GuestImage } | { readonly missing: string }
}

export interface PlannedGuest {
  readonly name: string
  readonly kind: GuestKind
  readonly port: string
  readonly mac: string
  readonly address: string | undefined
  readonly memoryMiB: number
  readonly queues: number
  /** Socket of its virtual function (form vfio-user), or null: it has its synthetic card only. */
  readonly functionPath: string | null
}

export interface LabPlan {
  /** The configuration with the ports' endpoints as the guests need them: what the switch must be created from. */
  readonly config: ResolvedConfig
  readonly guests: readonly PlannedGuest[]
  /** null if no guest runs under QEMU. */
  readonly qemu: QemuGround | null
  /** What a person should know: one line each. */
  readonly notes: readonly string[]
}

export interface PlanComponents {
  progress(line: string): void
  /** Finds out whether and how QEMU guests can run; throws a LabError that says why not and what would help. */
  qemuGround(wanted: { readonly functions: boolean }): Promise<QemuGround>
}

/** The command that would install what the lab lacks. */
export const installCommand = (isRoot: boolean): string =>
  `${isRoot ? '' : 'sudo '}apt-get install -y qemu-system-x86 busybox-static`

/** Looks at this machine. Its answers come from the cache folder where that holds them. */
export async function systemQemuGround(
  options: { cacheDirectory: string; accelerator?: string | undefined; functions?: boolean },
  components: { progress: (line: string) => void },
): Promise<QemuGround> {
  if ((await findProgram(QEMU_PROGRAM)) === null)
    throw new LabError(
      'program-missing',
      `${QEMU_PROGRAM} is not installed; install it with: ${installCommand(process.getuid?.() === 0)}`,
    )
  const { cacheDirectory } = options
  const image = await ensureGuestImage({ cacheDirectory }, components)
  const choice = await chooseAccelerator({ cacheDirectory, image, override: options.accelerator }, components)
  return { image, choice, ...(options.functions === true ? { functions: await functionGround(cacheDirectory, components) } : {}) }
}

async function functionGround(
  cacheDirectory: string,
  components: { progress: (line: string) => void },
): Promise<NonNullable<QemuGround['functions']>> {
  try {
    const program = await ensureNewQemu({ cacheDirectory }, components)
    return { program, image: await ensureGuestImage({ cacheDirectory, kernel: 'full' }, components) }
  } catch (error) {
    if (error instanceof LabError) return { missing: error.message }
    throw error
  }
}

/** Plans a lab. Throws a LabError if a guest that must be a QEMU one can't be, or is on a port that it can't be plugged into. */
export async function planLab(config: ResolvedConfig, components: PlanComponents): Promise<LabPlan> {
  const notes: string[] = []
  const qemu = await findGround(config, components, notes)
  const guests = config.guests.map((guest) => planGuest(guest, config, qemu, notes))
  const software = new Map(guests.filter((guest) => guest.kind === 'software').map((guest) => [guest.port, guest]))
  const ports = config.switch.ports.map((port): ResolvedPort => {
    const guest = software.get(port.name)
    if (port.iov?.qmp !== undefined && guests.some((one) => one.port === port.name && one.functionPath !== null)) {
      notes.push(`port ${port.name}: its guest has the virtual function from the start; iov.qmp is for a guest of your own`)
      const { qmp: _, ...iov } = port.iov
      return { ...port, iov }
    }
    if (guest === undefined || port.endpoint.kind === 'stream') return port
    const path = join(config.runtime.directory, `${port.name}.stream`)
    notes.push(`port ${port.name}: a stream socket in place of ${port.endpoint.kind}, for the software guest ${guest.name}`)
    return { ...port, endpoint: { kind: 'stream', path, mode: 'server' } }
  })
  return { config: { ...config, switch: { ...config.switch, ports } }, guests, qemu, notes }
}

async function findGround(
  { guests, switch: { ports } }: ResolvedConfig,
  components: PlanComponents,
  notes: string[],
): Promise<QemuGround | null> {
  if (!guests.some((guest) => guest.kind !== 'software')) return null
  try {
    const functions = guests.some(({ kind, port }) => kind !== 'software' && functionOf(ports.find(({ name }) => name === port)))
    return await components.qemuGround({ functions })
  } catch (error) {
    if (!(error instanceof LabError)) throw error
    const must = guests.find((guest) => guest.kind === 'qemu')
    if (must !== undefined)
      throw new LabError(error.code, `guest ${must.name} must run under QEMU (kind: qemu), but ${error.message}`, {
        cause: error,
      })
    notes.push(`software guests in place of QEMU: ${error.message}`)
    return null
  }
}

/** Whether the port's guest can be given a virtual function by QEMU's arguments alone. */
const functionOf = (port: ResolvedPort | undefined): boolean =>
  port?.iov?.form === 'vfio-user' && port.iov.weight > 0 && port.endpoint.kind === 'vhost-user' && port.endpoint.mode === 'server'

/** The socket of a guest's virtual function; null, with a note where the port asks for one, if it has none. */
function functionPathOf(guest: GuestConfig, port: ResolvedPort, kind: GuestKind, qemu: QemuGround | null, notes: string[]) {
  if (port.iov === undefined || port.iov.weight === 0) return null
  const without = `guest ${guest.name}: without its virtual function`
  const functions = qemu?.functions
  if (kind === 'software') notes.push(`${without}: a software guest has one card (but see vmswitch lab failover)`)
  else if (!functionOf(port))
    notes.push(`${without}: a lab's guest drives one of form vfio-user, beside a vhost-user endpoint in server mode`)
  else if (functions === undefined || 'missing' in functions) notes.push(`${without}: ${functions?.missing ?? 'no QEMU for it'}`)
  else return port.iov.path
  return null
}

function planGuest(guest: GuestConfig, config: ResolvedConfig, qemu: QemuGround | null, notes: string[]): PlannedGuest {
  const port = config.switch.ports.find((candidate) => candidate.name === guest.port)
  if (port === undefined) throw new LabError('check-failed', `guest ${guest.name}: the switch has no port "${guest.port}"`)
  const kind = guest.kind === 'auto' ? (qemu === null ? 'software' : 'qemu') : guest.kind
  if (kind === 'qemu') nicBackendOf(port.endpoint, guest.name)
  if (kind === 'software' && guest.address === undefined)
    throw new LabError(
      'check-failed',
      `guest ${guest.name}: a software guest needs an address, for example "address: 10.77.0.1/24"`,
    )
  return {
    name: guest.name,
    kind,
    port: guest.port,
    mac: port.mac ?? generatedMac(config.guests.indexOf(guest)),
    address: guest.address,
    memoryMiB: guest.memoryMiB,
    queues: guest.queues,
    functionPath: functionPathOf(guest, port, kind, qemu, notes),
  }
}

/** A locally administered address for a guest whose port has none. */
const generatedMac = (index: number): string => `52:54:00:77:ff:${index.toString(16).padStart(2, '0')}`

/** How QEMU plugs into a port's endpoint. Throws a LabError for one that it can't use. */
export function nicBackendOf(endpoint: EndpointConfig, guest: string): NicBackend {
  switch (endpoint.kind) {
    case 'vhost-user':
      return { kind: 'vhost-user', path: endpoint.path, server: endpoint.mode === 'client' }
    case 'stream':
      return { kind: 'stream', path: endpoint.path, server: endpoint.mode === 'client' }
    case 'dgram':
      return { kind: 'dgram', localPath: endpoint.remote, remotePath: endpoint.local }
    default:
      throw new LabError(
        'check-failed',
        `guest ${guest}: a QEMU guest can't be plugged into an endpoint of kind "${endpoint.kind}"; use vhost-user, stream or dgram`,
      )
  }
}
