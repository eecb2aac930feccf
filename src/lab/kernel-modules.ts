// Which kernel modules a guest needs, in the order they load: worked out from what each module file says of itself, so that any
// distribution's kernel will do. Pure: it reads through the functions it is given.

/** What the guest can't be without. */
export const requiredModules = ['virtio_pci', 'virtio_console', 'virtio_net'] as const
/** What some tests load by hand (`modprobe`): carried if the kernel has them. */
export const optionalModules = ['8021q', 'bonding', 'vxlan', 'vmxnet3', 'veth', 'tun', 'tls'] as const

/** What tests of virtual functions load besides: drivers of PCI network cards, which kernels for virtual machines leave out. */
export const cardModules = ['igbvf', 'e1000e', 'pktgen'] as const

export interface ModuleSource {
  /** The uncompressed file of a module, or null if the kernel package has none of that name. */
  read(name: string): Uint8Array | null
  /** Is the module part of the kernel itself? */
  builtin(name: string): boolean
}

export interface ChosenModule {
  readonly name: string
  readonly data: Uint8Array
  /** Modules it needs, direct ones only. */
  readonly needs: readonly string[]
  /** Is it loaded at boot? */
  readonly atBoot: boolean
}

export const canonicalModuleName = (name: string): string => name.replaceAll('-', '_')

/** The names after `depends=` in the .modinfo section of a module. */
export function moduleDependencies(file: Uint8Array): string[] {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  const marker = '\0depends='
  const start = bytes.indexOf(marker)
  if (start < 0) return []
  const end = bytes.indexOf(0, start + marker.length)
  const list = bytes.toString('latin1', start + marker.length, end < 0 ? bytes.length : end)
  return list
    .split(',')
    .filter((name) => name !== '')
    .map(canonicalModuleName)
}

/** What a guest can't be without, and what it carries besides if its kernel has it. */
export interface WantedModules {
  readonly required: readonly string[]
  readonly optional: readonly string[]
}

/** The modules to carry, each after those it needs. `missing` names required ones that the kernel does not have at all. */
export function chooseModules(
  source: ModuleSource,
  more: readonly string[] = [],
  { required, optional }: WantedModules = { required: requiredModules, optional: optionalModules },
): { modules: ChosenModule[]; missing: string[] } {
  const chosen = new Map<string, ChosenModule>()
  const missing: string[] = []
  const visit = (name: string, atBoot: boolean): boolean => {
    if (chosen.has(name) || source.builtin(name)) return true
    const data = source.read(name)
    if (data === null) return false
    const needs = moduleDependencies(data)
    if (!needs.every((needed) => visit(needed, atBoot))) return false
    chosen.set(name, { name, data, needs, atBoot })
    return true
  }
  for (const name of required) if (!visit(name, true)) missing.push(name)
  for (const name of [...optional, ...more]) visit(canonicalModuleName(name), false)
  return { modules: [...chosen.values()], missing }
}

/** The text of `modules.dep` for the guest's modprobe: every module with all it needs, nearest first. */
export function modulesDep(modules: readonly ChosenModule[]): string {
  const byName = new Map(modules.map((module) => [module.name, module]))
  const closure = (name: string, into: Set<string>): Set<string> => {
    for (const needed of byName.get(name)?.needs ?? []) {
      if (!byName.has(needed)) continue
      into.add(needed)
      closure(needed, into)
    }
    return into
  }
  return modules
    .map(({ name }) => `${name}.ko:${[...closure(name, new Set())].map((needed) => ` ${needed}.ko`).join('')}\n`)
    .join('')
}
