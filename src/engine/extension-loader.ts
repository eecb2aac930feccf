// Loads extensions on the control thread: imports a module, checks what it exports and its options, and reserves what its instances
// will use: counters per processor, shared memory, sinks with the files they drain to.
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ExtensionClass, ExtensionDefinition, PropertyDefinition, SinkDeclaration } from '../extension.ts'
import { closeFd, createEventFd } from '../linux/files.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import { parsePropertyVersion } from '../ndis/properties.ts'
import { fieldsProblem } from '../ndis/property-fields.ts'
import type { FailurePolicy } from '../switch/module.ts'
import { DatagramSink, wrongTargets } from './datagram-sink.ts'
import type { ModulePlan } from './messages.ts'
import { type RecordTarget, SinkFile } from './sink-file.ts'
import { SinkReader, sinkRingBytes } from './sink-ring.ts'

const SINK_BUFFER_BYTES = 4 * 1024 * 1024
const SINK_BYTES_MIN = 4096
const SINK_BYTES_MAX = 256 * 1024 * 1024
/** Counters that one extension may declare. */
export const COUNTERS_MAX = 1024
const SHARED_BYTES_MAX = 64 * 1024 * 1024
const classes: readonly ExtensionClass[] = ['capturing', 'filtering', 'forwarding']
const guid = /^\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$/i

/** An extension that can't be used. */
export class ExtensionError extends Error {
  override readonly name = 'ExtensionError'
  readonly code: 'NOT_FOUND' | 'BAD_MODULE' | 'BAD_OPTIONS' | 'REFUSED'

  constructor(code: ExtensionError['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** How the configuration names an extension. */
export interface ExtensionUse {
  readonly name: string
  /** Module to import: a file: URL. */
  readonly url: string
  readonly onFailure: FailurePolicy
  readonly options: unknown
  /** Takes what its sinks write, in the place of their files. */
  readonly consume?: RecordConsumer | undefined
}

/** Takes a record that an instance on `processor` wrote; false if it is lost. */
export type RecordConsumer = (processor: number, record: Uint8Array, preamble: boolean) => boolean

/** A loaded extension with what was reserved for it. */
export interface LoadedExtension {
  readonly use: ExtensionUse
  readonly definition: ExtensionDefinition
  readonly key: number
  /** What a processor attaches. */
  plan(processor: number): ModulePlan
  /** Sum over the processors of each declared counter. */
  counters(): Record<string, number>
  /** Files that sinks drain to, and the writes lost. */
  sinks(): { name: string; path: string; lost: number }[]
  /** Drains the sinks and gives everything back. The modules are detached. */
  close(): Promise<void>
}

interface OpenSink {
  readonly declaration: SinkDeclaration
  readonly path: string
  readonly bytes: number
  readonly rings: { readonly at: number; readonly doorbell: number; readonly reader: SinkReader; readonly file: RecordTarget }[]
}

function consumerOf(consume: RecordConsumer, processor: number): RecordTarget {
  let lost = 0
  return {
    get lost() {
      return lost
    },
    write(record, preamble) {
      if (!consume(processor, record, preamble)) lost++
    },
    close: async () => {},
  }
}

/** Where things are reserved. */
export interface LoaderComponents {
  readonly memory: SharedMemory
  readonly processors: number
  /** Directory that relative sink paths start in. */
  readonly directory: string
}

let nextKey = 1

async function importDefinition(use: ExtensionUse): Promise<ExtensionDefinition> {
  let exported: { default?: unknown }
  try {
    exported = (await import(use.url)) as { default?: unknown }
  } catch (error) {
    throw new ExtensionError(
      'NOT_FOUND',
      `extension "${use.name}": cannot load ${use.url}: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  const definition = exported.default as Partial<ExtensionDefinition> | undefined
  const wrong = (what: string): ExtensionError =>
    new ExtensionError(
      'BAD_MODULE',
      `extension "${use.name}" (${use.url}): ${what}; export default defineExtension({ id, name, version, class, attach })`,
    )
  if (typeof definition !== 'object' || definition === null) throw wrong('the module has no default export')
  if (typeof definition.id !== 'string' || !guid.test(definition.id)) throw wrong('"id" is not a GUID')
  if (typeof definition.name !== 'string' || definition.name === '') throw wrong('"name" is missing')
  if (!classes.includes(definition.class as ExtensionClass)) throw wrong('"class" is not capturing, filtering or forwarding')
  if (typeof definition.attach !== 'function') throw wrong('"attach" is not a function')
  for (const [id, property] of Object.entries(definition.properties ?? {})) {
    const { name, version, scope, fields, parse } = (property ?? {}) as Partial<PropertyDefinition>
    const isChecked = typeof parse === 'function' || (parse === undefined && fields !== undefined)
    const known = typeof name === 'string' && name !== '' && (scope === 'port' || scope === 'switch') && isChecked
    if (!guid.test(id)) throw wrong(`the property "${id}" is not named by a GUID`) // ES-523
    if (!known || typeof version !== 'string' || parsePropertyVersion(version) === undefined)
      throw wrong(`the property ${id} has not all of { name, version: "1.0", scope: "port" or "switch", parse or fields }`)
    const problem = fields === undefined ? null : fieldsProblem(fields)
    if (problem !== null) throw wrong(`the property ${id}: ${problem}`)
  }
  return definition as ExtensionDefinition
}

/** The URL of an extension's module; with `version`, one that the module cache does not know yet (hot reload). */
export function moduleUrl(file: string, version = 0): string {
  const url = pathToFileURL(file)
  if (version > 0) url.searchParams.set('v', String(version))
  return url.href
}

/** Loads one extension and reserves what it declares. Throws an ExtensionError that names the extension. */
export async function loadExtension(use: ExtensionUse, components: LoaderComponents): Promise<LoadedExtension> {
  const definition = await importDefinition(use)
  let options: unknown = use.options
  try {
    if (definition.parseOptions) options = definition.parseOptions(use.options)
  } catch (error) {
    throw new ExtensionError('BAD_OPTIONS', `extension "${use.name}": ${error instanceof Error ? error.message : String(error)}`)
  }
  const { memory, processors } = components
  const key = nextKey++
  const names = counterNames(use.name, definition, options)
  const counterBytes = Math.max(8, names.length * 8)
  // Everything is checked before anything is reserved: a refused extension leaves nothing behind.
  const sizes = sharedSizes(use.name, definition.shared?.(options) ?? {})
  const declarations = definition.sinks?.(options) ?? []
  for (const declaration of declarations) checkSink(use.name, declaration)
  const files = openFiles(use, declarations, components)
  const counters = Array.from({ length: processors }, () => memory.allocate(counterBytes))
  const shared = sizes.map(({ name, bytes }) => ({ name, bytes, at: memory.allocate(bytes) }))
  const sinks = declarations.map((declaration, i) =>
    openSink(declaration, sinkBytes(use.name, declaration), files[i]!, components),
  )

  return {
    use,
    definition,
    key,
    plan: (processor) => ({
      key,
      name: use.name,
      url: use.url,
      onFailure: use.onFailure,
      options,
      counters: { at: counters[processor]!, count: names.length },
      shared,
      sinks: sinks.map((sink) => ({
        name: sink.declaration.name,
        at: sink.rings[processor]!.at,
        bytes: sink.bytes,
        doorbell: sink.rings[processor]!.doorbell,
      })),
    }),
    counters: () =>
      Object.fromEntries(names.map((name, i) => [name, counters.reduce((sum, at) => sum + memory.f64[(at >> 3) + i]!, 0)])),
    sinks: () =>
      sinks.map((sink) => ({
        name: sink.declaration.name,
        path: sink.path,
        lost: sink.rings.reduce((sum, ring) => sum + ring.reader.lost + ring.file.lost, 0),
      })),
    async close() {
      for (const sink of sinks) {
        for (const ring of sink.rings) {
          ring.reader.close()
          closeFd(ring.doorbell)
          memory.free(ring.at, sinkRingBytes(sink.bytes))
          await ring.file.close()
        }
      }
      for (const at of counters) memory.free(at, counterBytes)
      for (const { at, bytes } of shared) memory.free(at, bytes)
    },
  }
}

function counterNames(extension: string, { counters = [] }: ExtensionDefinition, options: unknown): readonly string[] {
  const names = typeof counters === 'function' ? counters(options) : counters
  if (names.length <= COUNTERS_MAX) return names
  throw new ExtensionError(
    'BAD_MODULE',
    `extension "${extension}" declares ${names.length} counters, not at most ${COUNTERS_MAX}`,
  )
}

function sharedSizes(extension: string, declared: Readonly<Record<string, number>>): { name: string; bytes: number }[] {
  return Object.entries(declared).map(([name, bytes]) => {
    if (!(bytes > 0 && bytes <= SHARED_BYTES_MAX))
      throw new ExtensionError(
        'BAD_MODULE',
        `extension "${extension}": shared memory "${name}" has ${bytes} bytes, not 1…${SHARED_BYTES_MAX}`,
      )
    return { name, bytes: Math.ceil(bytes / 4) * 4 }
  })
}

function checkSink(extension: string, declaration: SinkDeclaration): void {
  sinkBytes(extension, declaration)
  const { name, path, udp } = declaration
  const wrong = (what: string): ExtensionError =>
    new ExtensionError('BAD_MODULE', `extension "${extension}": sink "${name}" ${what}`)
  if ((path === undefined) === (udp === undefined)) throw wrong('needs either a path or collectors under "udp"')
  const wrongs = udp === undefined ? undefined : wrongTargets(udp)
  if (wrongs !== undefined) throw wrong(wrongs)
}

function sinkBytes(extension: string, declaration: SinkDeclaration): number {
  const bytes = declaration.bufferBytes ?? SINK_BUFFER_BYTES
  if (bytes >= SINK_BYTES_MIN && bytes <= SINK_BYTES_MAX && Number.isInteger(Math.log2(bytes))) return bytes
  throw new ExtensionError(
    'BAD_MODULE',
    `extension "${extension}": bufferBytes of sink "${declaration.name}" is ${bytes}, not a power of two from ${SINK_BYTES_MIN}`,
  )
}

interface SinkFiles {
  readonly path: string
  /** One per processor. */
  readonly files: readonly RecordTarget[]
}

function openFiles(use: ExtensionUse, declarations: readonly SinkDeclaration[], components: LoaderComponents): SinkFiles[] {
  const { consume } = use
  if (consume) {
    const files = Array.from({ length: components.processors }, (_, processor) => consumerOf(consume, processor))
    return declarations.map(() => ({ path: '', files }))
  }
  const opened: RecordTarget[] = []
  try {
    return declarations.map((declaration) => {
      if (declaration.udp) {
        const { udp } = declaration
        const files = Array.from({ length: components.processors }, () => new DatagramSink(udp))
        opened.push(...files)
        return { path: `udp ${udp.map(({ address, port }) => `${address} port ${port}`).join(', ')}`, files }
      }
      const named = declaration.path!
      const path = named === '-' ? '-' : resolve(components.directory, named)
      const files = Array.from({ length: components.processors }, (_, processor) => {
        const file = new SinkFile(declaration, processor === 0 || path === '-' ? path : `${path}.p${processor}`)
        opened.push(file)
        return file
      })
      return { path, files }
    })
  } catch (error) {
    for (const file of opened) void file.close()
    throw new ExtensionError('BAD_OPTIONS', `extension "${use.name}": cannot open its file: ${(error as Error).message}`)
  }
}

function openSink(
  declaration: SinkDeclaration,
  bytes: number,
  { path, files }: SinkFiles,
  components: LoaderComponents,
): OpenSink {
  const { memory } = components
  const rings = files.map((file) => {
    const at = memory.allocate(sinkRingBytes(bytes))
    const doorbell = createEventFd()
    const reader = new SinkReader(memory.buffer, at, bytes, doorbell, (record, preamble) => file.write(record, preamble))
    return { at, doorbell, reader, file }
  })
  return { declaration, path, bytes, rings }
}
