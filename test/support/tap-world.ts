// A switch whose ports are TAP interfaces, each in a network namespace of its own: guests without VMs, whose kernels and programs are real.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import {
  createSwitch,
  type PortConfig,
  type RunningSwitch,
  type SwitchComponents,
  type SwitchConfig,
} from '../../src/engine/host.ts'
import { type InBoxExtensionName, inBoxExtensionUrl } from '../../src/extensions/catalog.ts'
import { whyNoTap } from './machine.ts'
import { temporaryDirectory } from './temp-dir.ts'
import { Namespace, run } from './veth.ts'

export const BUSYBOX = '/bin/busybox'
let made = 0

/** Why such a world can't be had here; false if it can. */
export function whyNoWorld(): string | false {
  return whyNoTap() ?? (existsSync(BUSYBOX) ? false : 'this machine has no busybox, whose clients are used')
}

/** An in-box extension with its options. */
export const inBox = (name: InBoxExtensionName, options: unknown): ExtensionEntry => ({
  name,
  file: fileURLToPath(inBoxExtensionUrl(name)!),
  enabled: true,
  onFailure: 'closed',
  options,
})

export interface Guest extends Namespace {
  readonly device: string
}

export interface TapWorld {
  readonly vmswitch: RunningSwitch
  readonly directory: string
  readonly guests: Readonly<Record<string, Guest>>
  /** Runs a program in a guest's namespace. */
  in(guest: string, ...command: readonly string[]): { readonly status: number | null; readonly output: string }
}

export interface TapWorldOptions {
  readonly processors?: number
  /** More of each port, by name. */
  readonly ports?: Readonly<Record<string, Partial<PortConfig>>>
  /** Ports that are no guests: an uplink. */
  readonly others?: readonly PortConfig[]
  /** More of the switch. */
  readonly config?: Partial<SwitchConfig>
  readonly log?: SwitchComponents['log']
}

/** `guests`: MAC addresses by name; null: that of its interface, which the switch learns. Their interfaces are up when this returns. */
export async function tapWorld(
  t: TestContext,
  extensions: readonly ExtensionEntry[],
  guests: Readonly<Record<string, string | null>>,
  { processors = 2, ports: more = {}, others = [], config = {}, log = () => {} }: TapWorldOptions = {},
): Promise<TapWorld> {
  const directory = temporaryDirectory()
  const id = `tw${process.pid % 100000}x${made++}`
  const names = Object.keys(guests)
  const ports = names.map(
    (name, i): PortConfig => ({
      name,
      mac: guests[name]!,
      macSpoofing: 'off',
      learning: guests[name] === null,
      link: 'up',
      endpoint: { kind: 'tap', interface: `${id}${i}`, mtu: 1500, queues: 1 },
      ...more[name],
    }),
  )
  const macTable = { entries: 64, ageingSeconds: 0 }
  const vmswitch = await createSwitch(
    { name: 'taps', type: 'private', processors, extensions, ports: [...ports, ...others], macTable, directory, ...config },
    { log },
  )
  const spaces: Record<string, Guest> = {}
  t.after(async () => {
    await vmswitch.close()
    for (const space of Object.values(spaces)) space.delete()
  })
  for (const [i, name] of names.entries()) {
    const device = `${id}${i}`
    const space = Object.assign(new Namespace(), { device })
    spaces[name] = space
    run('ip', 'link', 'set', device, 'netns', space.name)
    const mac = guests[name]
    if (mac) space.ip('link', 'set', device, 'address', mac)
    space.ip('link', 'set', device, 'up')
  }
  for (let tries = 0; tries < 500 && !vmswitch.ports().every(({ connected }) => connected); tries++) await sleep(10)
  return {
    vmswitch,
    directory,
    guests: spaces,
    in(guest, ...command) {
      const done = spawnSync('ip', ['netns', 'exec', spaces[guest]!.name, ...command], { encoding: 'utf8' })
      return { status: done.status, output: `${done.stdout}${done.stderr}` }
    },
  }
}

/** Tries until `done` gives something, at most a minute. */
export async function eventually<Result>(done: () => Result | undefined | false, what: string): Promise<Result> {
  for (let tries = 0; tries < 600; tries++) {
    const result = done()
    if (result) return result
    await sleep(100)
  }
  throw new Error(`${what} did not come about`)
}
