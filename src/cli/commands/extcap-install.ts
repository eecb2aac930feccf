// `vmswitch extcap install` and `uninstall`: the program that Wireshark calls, in the folders where it looks for such programs. The rule it
// must not break: only what it wrote itself is replaced or removed.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'

const NAME = 'vmswitch'
const MARK = '# Written by "vmswitch extcap install"'
const kept = ['VMSWITCH_CONTROL', 'VMSWITCH_HOST', 'VMSWITCH_TOKEN_FILE', 'VMSWITCH_CA'] as const
const paths: ReadonlySet<string> = new Set(['VMSWITCH_CONTROL', 'VMSWITCH_TOKEN_FILE', 'VMSWITCH_CA'])

type Place = Pick<CommandContext, 'env' | 'cwd'>

/** Where Wireshark looks: up to 4.0 among the user's configuration, later versions among the user's libraries. */
function files({ env }: Place): string[] {
  const home = env.HOME ?? homedir()
  const own = env.XDG_CONFIG_HOME
  const config = own !== undefined && isAbsolute(own) ? own : join(home, '.config')
  return [join(config, 'wireshark', 'extcap', NAME), join(home, '.local', 'lib', 'wireshark', 'extcap', NAME)]
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** A desktop starts Wireshark without the shell's variables: those that say which switch is meant, and where Node is, are written down. */
function script({ env, cwd }: Place): string {
  const bin = fileURLToPath(new URL('../../../bin/vmswitch', import.meta.url))
  const settings = kept.flatMap((name) => {
    const value = env[name]
    return value ? [`export ${name}=${quoted(paths.has(name) ? resolve(cwd, value) : value)}`] : []
  })
  return [
    '#!/bin/sh',
    `${MARK}: the ports of a running vmswitch as interfaces of Wireshark's.`,
    `PATH="$PATH":${quoted(dirname(process.execPath))}`,
    ...settings,
    `exec ${quoted(bin)} extcap "$@"`,
    '',
  ].join('\n')
}

function isOurs(file: string): boolean | undefined {
  try {
    return readFileSync(file, 'utf8').includes(MARK)
  } catch {
    return undefined // it is not there, or a link to nowhere
  }
}

function refuseOthers(file: string): void {
  if (isOurs(file) === false)
    throw new CliError(
      'not-ours',
      `${file} was not written by vmswitch extcap install`,
      'remove it, then ask again',
      ExitCode.usage,
    )
}

/** Writes the program into Wireshark's folders for this user. Throws CliError `not-ours` where another file has its name. */
export function installExtcap({ terminal, env, cwd }: CommandContext): void {
  const targets = files({ env, cwd })
  for (const file of targets) refuseOthers(file)
  for (const file of targets) {
    mkdirSync(dirname(file), { recursive: true })
    rmSync(file, { force: true })
    writeFileSync(file, script({ env, cwd }), { mode: 0o755 })
    terminal.line(`wrote ${file}`)
  }
  terminal.note(
    'Wireshark and tshark -D list the ports of the running switch when they start next, or at Capture, Refresh Interfaces (F5)',
  )
}

/** Removes what installExtcap wrote. Throws CliError `not-ours` where another file has its name. */
export function uninstallExtcap({ terminal, env, cwd }: CommandContext): void {
  const targets = files({ env, cwd })
  for (const file of targets) refuseOthers(file)
  const there = targets.filter((file) => isOurs(file))
  for (const file of there) {
    rmSync(file)
    terminal.line(`removed ${file}`)
  }
  if (there.length === 0) terminal.note('it was not installed')
}
