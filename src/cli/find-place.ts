// Finds the switch that a command is about: on the network where a host is named, else on this machine.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { type ControlPlace, checkUrl, type NetworkPlace } from '../manage/control/control-place.ts'
import { checkPrivate } from '../manage/store/state-directory.ts'
import { CliError, ExitCode } from './exit.ts'
import { type FindComponents, findControl } from './find-control.ts'

/** What the command line says. */
export interface PlaceOptions {
  readonly socket?: string
  readonly host?: string
  readonly tokenFile?: string
  readonly ca?: string
}

const hostsSchema = z.record(
  z.string(),
  z.strictObject({ host: z.string().min(1), tokenFile: z.string().min(1).optional(), ca: z.string().min(1).optional() }),
)

interface Named {
  readonly host: string
  readonly tokenFile?: string | undefined
  readonly ca?: string | undefined
}

const usage = (code: string, message: string, hint: string): CliError => new CliError(code, message, hint, ExitCode.usage)

/** hosts.yaml in the user's configuration directory: names of hosts, each with its host, tokenFile and ca. */
export function hostsFile({ env }: FindComponents): string {
  const own = env.XDG_CONFIG_HOME
  return join(own !== undefined && isAbsolute(own) ? own : join(env.HOME ?? '/', '.config'), 'vmswitch', 'hosts.yaml')
}

/** The hosts in the text of a hosts.yaml. Throws CliError `bad-hosts-file`. */
export function checkHosts(text: string, file: string): Readonly<Record<string, Named>> {
  const parsed = hostsSchema.safeParse(parse(text))
  if (parsed.success) return parsed.data
  const [first] = parsed.error.issues
  throw usage('bad-hosts-file', `${file}: ${first?.path.join('.') ?? ''}: ${first?.message ?? 'it can not be used'}`, 'mend it')
}

function namedHost(name: string, file: string): Named {
  const hint = `write it there, such as\n${name}: { host: "https://192.0.2.1:8443", tokenFile: token, ca: cert.pem }`
  if (!existsSync(file))
    throw usage('no-such-host', `"${name}" is no https://HOST:PORT, and there is no ${file} to find it in`, hint)
  const found = checkHosts(readFileSync(file, 'utf8'), file)[name]
  if (found === undefined) throw usage('no-such-host', `${file} has no host "${name}"`, hint)
  const beside = (path: string | undefined): string | undefined => (path === undefined ? undefined : resolve(dirname(file), path))
  return { host: found.host, tokenFile: beside(found.tokenFile), ca: beside(found.ca) }
}

function networkPlace(host: string, { tokenFile, ca }: PlaceOptions, components: FindComponents): NetworkPlace {
  const { env, cwd } = components
  const named: Named = host.includes('://') ? { host } : namedHost(host, hostsFile(components))
  const here = (path: string | undefined): string | undefined => (path ? resolve(cwd, path) : undefined)
  const tokenPath = here(tokenFile) ?? named.tokenFile ?? here(env.VMSWITCH_TOKEN_FILE)
  const caPath = here(ca) ?? named.ca ?? here(env.VMSWITCH_CA)
  if (tokenPath === undefined)
    throw usage('no-token', `${named.host} wants a token`, 'name the file that has it: --token-file FILE, or VMSWITCH_TOKEN_FILE')
  checkUrl(named.host)
  checkPrivate(tokenPath)
  const token = readFileSync(tokenPath, 'utf8').trim()
  if (token === '' || /[^\x20-\x7e]/.test(token))
    throw usage('bad-token', `${tokenPath} has no token`, 'it holds what vmswitch token add printed, on one line')
  return { url: named.host, token, ...(caPath === undefined ? {} : { ca: readFileSync(caPath, 'utf8') }) }
}

/** Throws CliError `not-running`, `no-such-host`, `bad-hosts-file`, `no-token`, `bad-token`, ControlError `bad-host`, StoreError. */
export async function findPlace(options: PlaceOptions, components: FindComponents): Promise<ControlPlace> {
  const { socket, host } = options
  if (socket !== undefined && host !== undefined)
    throw usage('bad-arguments', '--socket is a switch of this machine, --host one on the network', 'leave one of them out')
  const { env } = components
  const fromEnv = socket === undefined && !env.VMSWITCH_CONTROL ? env.VMSWITCH_HOST : undefined
  const wanted = host ?? (fromEnv || undefined)
  return wanted === undefined ? findControl(socket, components) : networkPlace(wanted, options, components)
}
