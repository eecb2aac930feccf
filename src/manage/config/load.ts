// Loads a configuration file, YAML or TypeScript, and gives it checked and resolved, or one error that names every mistake.
import { readFile, stat } from 'node:fs/promises'
import { extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { checkConfig } from './checks.ts'
import { ConfigError, type Diagnostic, pathText } from './diagnostics.ts'
import { explainIssues, type Finding, valueText } from './explain.ts'
import { CONFIG_FILE_MAX_BYTES } from './limits.ts'
import { type ResolveComponents, resolveConfig, systemComponents } from './resolve.ts'
import { configSchema } from './schema.ts'
import type { ResolvedConfig } from './types.ts'
import type { ConfigSource } from './yaml-source.ts'

const moduleExtensions = ['.ts', '.mts', '.js', '.mjs']
const textExtensions = ['.yaml', '.yml', '.json']

/**
 * Reads, checks and resolves the configuration in `file` (relative to the working directory). Throws ConfigError, whose message
 * is ready to print.
 */
export async function loadConfig(file: string, components: ResolveComponents = systemComponents()): Promise<ResolvedConfig> {
  const path = resolve(components.cwd, file)
  return checkSource(await readSource(file, path), path, components)
}

/** The data of the configuration in `file`, neither checked nor resolved. Throws ConfigError. */
export async function readConfig(file: string, components: ResolveComponents = systemComponents()): Promise<unknown> {
  return (await readSource(file, resolve(components.cwd, file))).data
}

/** Checks and resolves the data of a source. `path` is the absolute path of its file. */
export function checkSource(source: ConfigSource, path: string, components: ResolveComponents): ResolvedConfig {
  const parsed = configSchema.safeParse(source.data)
  if (!parsed.success) throw invalid(source, explainIssues(configSchema, source.data, parsed.error.issues))
  const config = resolveConfig(parsed.data, path, components)
  const findings = checkConfig(config)
  if (findings.length > 0) throw invalid(source, findings)
  return config
}

function invalid(source: ConfigSource, findings: readonly Finding[]): ConfigError {
  const diagnostics = findings.map((finding): Diagnostic => {
    const { path } = finding
    return {
      code: finding.code,
      path: pathText(path),
      message: finding.message,
      hint: finding.hint,
      place: finding.key === null ? source.placeOfValue(path) : source.placeOfKey(path, finding.key),
    }
  })
  diagnostics.sort((a, b) => (a.place?.line ?? 0) - (b.place?.line ?? 0) || (a.place?.column ?? 0) - (b.place?.column ?? 0))
  return new ConfigError('config-invalid', source.file, source.lines, diagnostics)
}

async function readSource(file: string, path: string): Promise<ConfigSource> {
  const extension = extname(path).toLowerCase()
  const kinds = [...textExtensions, ...moduleExtensions]
  if (!kinds.includes(extension)) throw unreadable(file, `a configuration file ends in one of ${kinds.join(', ')}`, 'rename it')
  try {
    const facts = await stat(path)
    if (!facts.isFile()) throw unreadable(file, 'this is not a file', 'give the path of a configuration file')
    if (facts.size > CONFIG_FILE_MAX_BYTES)
      throw unreadable(
        file,
        `the file has ${facts.size} bytes, at most ${CONFIG_FILE_MAX_BYTES} are read`,
        'is it the right file?',
      )
    if (moduleExtensions.includes(extension)) return await readModule(file, path, facts.mtimeMs)
    const text = await readFile(path, 'utf8')
    const { parseYaml } = await import('./yaml-source.ts')
    return parseYaml(file, text.replace(/^\uFEFF/, ''))
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (code === 'ENOENT')
      throw unreadable(file, 'there is no such file', 'give the path of a configuration, such as examples/two-guests.yaml')
    if (code === 'EACCES')
      throw unreadable(file, 'no permission to read this file (EACCES)', 'change its mode or run as its owner')
    throw unreadable(file, error instanceof Error ? error.message : String(error), '')
  }
}

/** `modified` makes a changed file a new module, since Node keeps modules by their URL. */
async function readModule(file: string, path: string, modified: number): Promise<ConfigSource> {
  let module: Readonly<Record<string, unknown>>
  try {
    module = (await import(`${pathToFileURL(path).href}?modified=${modified}`)) as Readonly<Record<string, unknown>>
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new ConfigError(
      'config-syntax',
      file,
      [],
      [{ code: 'syntax', path: '', message: `the module can't be loaded: ${message}`, hint: 'mend the module', place: null }],
    )
  }
  const data = module.default
  if (typeof data !== 'object' || data === null)
    throw new ConfigError(
      'config-invalid',
      file,
      [],
      [
        {
          code: 'no-default-export',
          path: '',
          message: data === undefined ? 'the module has no default export' : `the default export is ${valueText(data)}`,
          hint: 'write: export default defineConfig({ switch: { … } })',
          place: null,
        },
      ],
    )
  return { file, lines: [], data, placeOfValue: () => null, placeOfKey: () => null }
}

const unreadable = (file: string, message: string, hint: string): ConfigError =>
  new ConfigError('config-unreadable', file, [], [{ code: 'unreadable', path: '', message, hint, place: null }])
