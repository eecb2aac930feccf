// `vmswitch browser-guest`: what guests in browsers boot, and where one that is no page of the console connects.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { relayOrigin } from '../../manage/console/guest-tickets.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError } from '../exit.ts'

const cacheDirectory = fileURLToPath(new URL('../../../.cache', import.meta.url))

export async function fetchImage({ terminal }: CommandContext): Promise<void> {
  const { ensureBrowserImage } = await import('../../lab/browser-image.ts')
  const { folder, image } = await ensureBrowserImage({ cacheDirectory }, { progress: (line) => terminal.note(line) })
  if (terminal.json) return terminal.data({ folder, ...image })
  terminal.line(`Linux ${image.release} for guests in browsers is in ${folder}`)
  for (const name of image.packages) terminal.line(`  ${name}`)
}

/** Prints the URL alone on standard output, so that it can be piped. */
export async function printUrl(context: CommandContext, name: string): Promise<void> {
  const { terminal } = context
  const ports = await (await context.connect()).ports()
  const port = ports.find((one) => one.name === name)
  if (port === undefined) {
    const { didYouMean } = await import('../../manage/config/suggest.ts')
    const names = ports.map((one) => one.name)
    throw new CliError('no-such-port', `there is no port "${name}"`, didYouMean(name, names))
  }
  const { endpoint, detail } = port
  if (endpoint.kind !== 'websocket')
    throw new CliError('not-supported', `port "${name}" is of kind ${endpoint.kind}`, 'use a port of kind websocket')
  const url = `${relayOrigin({ endpoint, detail })}/?token=${tokenOf(endpoint.tokenFile)}`
  if (terminal.json) return terminal.data({ port: name, url, mac: port.mac, origins: endpoint.origins })
  terminal.line(url)
  terminal.note('# the token is in it: whoever has it is the guest of this port')
  if (endpoint.origins.length === 0)
    terminal.note('# pages may not use it: name where they come from under "origins" of the port; programs need not')
}

function tokenOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new CliError(
      'not-readable',
      `the token of the port can't be read: ${(error as Error).message}`,
      'run this as its owner',
    )
  }
}
