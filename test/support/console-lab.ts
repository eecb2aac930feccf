// A switch as `vmswitch up` runs it, with its console on a loopback address; the ports are stream sockets that tests hold the other
// ends of, or memory.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectControl } from '../../src/manage/control/control-client.ts'
import type { RemoteSwitchHost } from '../../src/manage/host.ts'
import { StreamPeer } from './socket-peers.ts'
import { until } from './until.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))

export interface ConsoleLab {
  /** With its token. */
  readonly url: string
  readonly control: RemoteSwitchHost
  /** The other end of a stream port. */
  peer(name: string): StreamPeer
  close(): Promise<void>
}

/** Starts the switch `look`; `settings`: members of `switch` but its name. Ports of kind stream have `path: NAME.sock`. */
export async function consoleLab(
  settings: Readonly<Record<string, unknown>>,
  words: readonly string[] = [],
): Promise<ConsoleLab> {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-look-'))
  const file = join(directory, 'lab.json')
  writeFileSync(file, JSON.stringify({ switch: { name: 'look', ...settings }, runtime: { directory: join(directory, 'run') } }))
  const child = spawn(bin, ['up', file, '--json', '--console', '127.0.0.1:0', ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  let over = false
  void ended.then(() => {
    over = true
  })
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
  const ready = ():
    | { console: string; control: string; ports: { name: string; endpoint: { kind: string; path?: string } }[] }
    | undefined => {
    const line = text.split('\n').find((one) => one.startsWith('{"event":"ready"') && one.endsWith('}'))
    return line === undefined ? undefined : JSON.parse(line)
  }
  await until(() => {
    if (over) throw new Error(`vmswitch up ended: ${text}`)
    return ready() !== undefined
  }, 'the switch')
  const { console: url, control, ports } = ready()!
  const streams = ports.filter(({ endpoint }) => endpoint.kind === 'stream')
  const peers = new Map(streams.map(({ name, endpoint }) => [name, StreamPeer.connect(endpoint.path!)]))
  const host = connectControl(control)
  await until(
    async () => (await host.ports()).every(({ endpoint, connected }) => endpoint.kind !== 'stream' || connected),
    'the connection of all ports',
  )
  return {
    url,
    control: host,
    peer: (name) => peers.get(name)!,
    async close() {
      for (const peer of peers.values()) peer.vanish()
      child.kill('SIGINT')
      await ended
      rmSync(directory, { recursive: true })
    },
  }
}
