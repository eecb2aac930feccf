// The SR-IOV cards that the host itself has: physical functions in sysfs with their virtual functions, how many of them there are, and
// their settings over rtnetlink. Not tried on hardware: sysfs and netlink are passed in, and tests have their own.
//
// The rule it must not break: a VF that a VM may have is never taken away by a change of the number of VFs.
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { exchangeNetlink } from '../netlink.ts'
import { getVfsMessage, type HostVfSettings, type HostVfWords, readVfAnswer, setVfMessage } from './vf-messages.ts'

/** Why VFs can't be made, or can't be given to VMs. Codes are stable. */
export const hostReasons = {
  'no-driver': 'no driver is bound to the card: load it',
  'no-vfs': "the card's firmware gives it no VFs: enable SR-IOV in the set-up of card and machine",
  'no-iommu':
    'without an IOMMU no VF can be given to a VM: enable VT-d or AMD-Vi in the firmware, and intel_iommu=on for the kernel',
} as const
export type HostReason = keyof typeof hostReasons

export interface HostVf {
  readonly vf: number
  /** 0000:03:10.0 */
  readonly pci: string
  readonly driver: string | null
  /** Network interface of the VF on the host, while its driver runs here. */
  readonly interface: string | null
  readonly settings: HostVfSettings | null
}

/** A physical function with SR-IOV. */
export interface HostAdapter {
  readonly interface: string
  readonly index: number
  readonly mac: string
  readonly pci: string
  readonly driver: string | null
  readonly link: 'up' | 'down'
  readonly vfs: { readonly total: number; readonly enabled: number }
  readonly reasons: readonly HostReason[]
  readonly functions: readonly HostVf[]
}

export interface HostComponents {
  /** Where sysfs is. */
  readonly sysfs: string
  /** Writes to a file of sysfs; throws what the kernel says. */
  readonly write: (path: string, text: string) => void
  /** Sends a message to rtnetlink and returns what it answers. */
  readonly exchange: (message: Buffer) => Buffer
}

export const systemHost: HostComponents = { sysfs: '/sys', write: writeFileSync, exchange: exchangeNetlink }

/** Something about a card of the host that could not be done. `code` is stable. */
export class HostAdapterError extends Error {
  override readonly name = 'HostAdapterError'
  readonly code: string
  readonly hint: string

  constructor(code: string, message: string, hint = '') {
    super(message)
    this.code = code
    this.hint = hint
  }
}

/** Drivers that give a function to a user-space process: a VMM may have it. */
const passthroughDrivers = new Set(['vfio-pci', 'pci-stub', 'xen-pciback', 'uio_pci_generic', 'igb_uio'])
const VFS_READ_MAX = 256

function text(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return null
  }
}

function number(path: string): number {
  const value = Number(text(path) ?? 0)
  return Number.isInteger(value) && value >= 0 ? value : 0
}

function linkName(path: string): string | null {
  try {
    return basename(readlinkSync(path))
  } catch {
    return null
  }
}

function names(path: string): string[] {
  try {
    return readdirSync(path).sort()
  } catch {
    return []
  }
}

/** The host's interfaces whose card has SR-IOV. */
export function listHostAdapters(host: HostComponents = systemHost): HostAdapter[] {
  return names(join(host.sysfs, 'class/net'))
    .map((name) => readHostAdapter(name, host))
    .filter((adapter) => adapter !== null)
}

/** One of them; null if there is no such interface, or its card has no SR-IOV. */
export function readHostAdapter(name: string, host: HostComponents = systemHost): HostAdapter | null {
  const net = join(host.sysfs, 'class/net', name)
  const device = join(net, 'device')
  if (text(join(device, 'sriov_totalvfs')) === null) return null
  const total = number(join(device, 'sriov_totalvfs'))
  const enabled = number(join(device, 'sriov_numvfs'))
  const driver = linkName(join(device, 'driver'))
  const index = number(join(net, 'ifindex'))
  const iommu = linkName(join(device, 'iommu_group')) !== null || names(join(host.sysfs, 'class/iommu')).length > 0
  const settings = enabled === 0 ? [] : readSettings(index, host)
  const functions = Array.from({ length: Math.min(enabled, VFS_READ_MAX) }, (_, vf): HostVf => {
    const function_ = join(device, `virtfn${vf}`)
    return {
      vf,
      pci: linkName(function_) ?? '',
      driver: linkName(join(function_, 'driver')),
      interface: names(join(function_, 'net'))[0] ?? null,
      settings: settings.find((one) => one.vf === vf) ?? null,
    }
  })
  return {
    interface: name,
    index,
    mac: text(join(net, 'address')) ?? '',
    pci: linkName(device) ?? '',
    driver,
    link: text(join(net, 'operstate')) === 'up' ? 'up' : 'down',
    vfs: { total, enabled },
    reasons: [
      ...(driver === null ? (['no-driver'] as const) : []),
      ...(total === 0 ? (['no-vfs'] as const) : []),
      ...(iommu ? [] : (['no-iommu'] as const)),
    ],
    functions,
  }
}

function readSettings(index: number, { exchange }: HostComponents): readonly HostVfSettings[] {
  try {
    return readVfAnswer(exchange(getVfsMessage(index, 1))).vfs
  } catch {
    return [] // shown without settings: sysfs has told the rest
  }
}

function needed(name: string, host: HostComponents): HostAdapter {
  const adapter = readHostAdapter(name, host)
  if (adapter !== null) return adapter
  const known = listHostAdapters(host).map((one) => one.interface)
  throw new HostAdapterError(
    'no-such-adapter',
    `the host has no SR-IOV card with an interface "${name}"`,
    known.length === 0 ? 'it has none at all' : `it has: ${known.join(', ')}`,
  )
}

/** Makes `count` VFs (0: none). Throws HostAdapterError; VFs that were there before are made again if the new number is refused. */
export function provisionHostVfs(name: string, count: number, host: HostComponents = systemHost): HostAdapter {
  const adapter = needed(name, host)
  const { total, enabled } = adapter.vfs
  if (count === enabled) return adapter
  if (adapter.driver === null) throw new HostAdapterError('no-driver', `${name}: ${hostReasons['no-driver']}`)
  if (total === 0) throw new HostAdapterError('no-vfs', `${name}: ${hostReasons['no-vfs']}`)
  if (count > total)
    throw new HostAdapterError(
      'too-many-vfs',
      `${name} has at most ${total} VFs, not ${count}`,
      `give a number from 0 to ${total}`,
    )
  const taken = adapter.functions.filter(({ driver }) => driver !== null && passthroughDrivers.has(driver))
  if (taken.length > 0)
    throw new HostAdapterError(
      'vfs-in-use',
      `${name}: VF ${taken.map(({ vf }) => vf).join(', ')} may belong to a VM (driver ${taken[0]!.driver}), and a new number of VFs takes all of them away`,
      'shut the VMs down and unbind the driver first',
    )
  const file = join(host.sysfs, 'class/net', name, 'device/sriov_numvfs')
  try {
    if (enabled !== 0) host.write(file, '0') // the kernel refuses one number after another
    if (count !== 0) host.write(file, String(count))
  } catch (error) {
    const refusal = refusalOf(name, count, error)
    try {
      if (enabled !== 0 && number(file) === 0) host.write(file, String(enabled))
    } catch {
      throw new HostAdapterError(
        refusal.code,
        `${refusal.message}; the ${enabled} VFs from before could not be made again`,
        refusal.hint,
      )
    }
    throw refusal
  }
  return needed(name, host)
}

/** What the kernel means when it refuses sriov_numvfs. */
function refusalOf(name: string, count: number, error: unknown): HostAdapterError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  switch (code) {
    case 'ENOENT':
    case 'ENOSYS':
      return new HostAdapterError(
        'no-sriov-configure',
        `the driver of ${name} makes no VFs through sysfs (it lacks sriov_configure)`,
        "look for a module parameter of the driver, such as max_vfs, or the vendor's tool",
      )
    case 'EACCES':
    case 'EPERM':
      return new HostAdapterError('not-permitted', `no permission to make VFs of ${name} (${code})`, 'run this as root')
    case 'EROFS':
      return new HostAdapterError('not-permitted', 'sysfs is read-only here (EROFS)', 'run this on the host, not in a container')
    case 'ENOMEM':
    case 'EINVAL':
    case 'ENOSPC':
      return new HostAdapterError(
        'no-resources',
        `the machine has no room for ${count} VFs of ${name} (${code})`,
        'boot with pci=realloc, or enable SR-IOV and large memory-mapped I/O in the firmware',
      )
    default:
      return new HostAdapterError(
        'refused',
        `the kernel refuses ${count} VFs of ${name}: ${error instanceof Error ? error.message : String(error)}`,
      )
  }
}

/** `ip link set NAME vf N …`. Throws HostAdapterError. */
export function setHostVf(name: string, vf: number, words: HostVfWords, host: HostComponents = systemHost): HostVf {
  const adapter = needed(name, host)
  if (vf >= adapter.vfs.enabled)
    throw new HostAdapterError(
      'no-such-vf',
      `${name} has no VF ${vf}: ${adapter.vfs.enabled === 0 ? 'none are made' : `they are numbered 0 to ${adapter.vfs.enabled - 1}`}`,
      `make them: vmswitch adapter provision ${name} --vfs N`,
    )
  const { errno } = readVfAnswer(
    host.exchange(setVfMessage(adapter.index, vf, complete(words, adapter.functions[vf]?.settings), 1)),
  )
  if (errno !== 0) throw refusedVf(name, vf, errno)
  const changed = needed(name, host).functions[vf]
  if (changed === undefined) throw new HostAdapterError('no-such-vf', `VF ${vf} of ${name} is gone`)
  return changed
}

/** The kernel takes both rates together, and a priority with its VLAN: what is not named stays. */
function complete(words: HostVfWords, present: HostVfSettings | null | undefined): HostVfWords {
  const { qos, vlan, min_tx_rate: min, max_tx_rate: max } = words
  return {
    ...words,
    ...(qos === undefined && vlan === undefined
      ? {}
      : { vlan: vlan ?? present?.vlan ?? 0, qos: qos ?? (vlan === 0 ? 0 : (present?.qos ?? 0)) }),
    ...(min === undefined && max === undefined
      ? {}
      : { min_tx_rate: min ?? present?.min_tx_rate ?? 0, max_tx_rate: max ?? present?.max_tx_rate ?? 0 }),
  }
}

const EPERM = 1
const EINVAL = 22
const EOPNOTSUPP = 95

function refusedVf(name: string, vf: number, errno: number | undefined): HostAdapterError {
  if (errno === EPERM) return new HostAdapterError('not-permitted', `no permission to set VFs of ${name}`, 'run this as root')
  if (errno === EOPNOTSUPP)
    return new HostAdapterError('not-supported', `the driver of ${name} has no such setting of VFs`, 'set the words one by one')
  if (errno === EINVAL) return new HostAdapterError('bad-vf-setting', `${name} refuses these settings of VF ${vf} (EINVAL)`)
  return new HostAdapterError('refused', `${name} refuses the settings of VF ${vf} (errno ${errno ?? 'unknown'})`)
}
