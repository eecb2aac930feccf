// A switch with its control socket, as `vmswitch up` makes it, and the command line against it. For tests of commands that look into a
// running switch; the ports are stream sockets that tests hold the other ends of.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectControl } from '../../src/manage/control/control-client.ts'
import type { RemoteSwitchHost } from '../../src/manage/host.ts'
import { StreamPeer } from './socket-peers.ts'
import { until } from './until.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

export interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}

export interface SwitchUnderLook {
  readonly directory: string
  readonly control: RemoteSwitchHost
  /** The other end of a port. */
  peer(name: string): StreamPeer
  /** The command line, with what its end comes to. */
  vmswitch(...words: string[]): Started
  close(): Promise<void>
}

function start(words: readonly string[], env: Readonly<Record<string, string>>): Started {
  const child = spawn(bin, words, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  const out: Buffer[] = []
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<Ended>((resolve) =>
    child.on('close', (code) => resolve({ code, stdout: Buffer.concat(out), stderr })),
  )
  return { child, ended }
}

/** Starts a switch; `settings`: members of `switch` beside name and ports, in YAML flow form; `ports`: name and more members of each. */
export async function switchUnderLook(settings: string, ports: Readonly<Record<string, string>>): Promise<SwitchUnderLook> {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-look-'))
  const file = join(directory, 'lab.yaml')
  const lines = Object.entries(ports).map(
    ([name, more]) => `    - { name: ${name}, endpoint: { kind: stream, path: ${name}.sock }${more === '' ? '' : `, ${more}`} }`,
  )
  const text = ['switch:', '  name: look', settings, '  ports:', ...lines, `runtime: { directory: ${directory}/run }`]
  writeFileSync(file, `${text.filter((line) => line !== '').join('\n')}\n`)
  const socket = join(directory, 'run', 'control.sock')
  const up = start(['up', file, '--json'], {})
  const control = connectControl(socket)
  let ended: Ended | undefined
  void up.ended.then((end) => {
    ended = end
  })
  await until(async () => {
    if (ended) throw new Error(`vmswitch up ended: ${ended.stderr} ${ended.stdout}`)
    return control.status().then(
      () => true,
      () => false,
    )
  }, 'the switch')
  const peers = new Map(Object.keys(ports).map((name) => [name, StreamPeer.connect(join(directory, 'run', `${name}.sock`))]))
  await until(async () => (await control.ports()).every(({ connected }) => connected), 'the connection of all ports')
  return {
    directory,
    control,
    peer: (name) => peers.get(name)!,
    vmswitch: (...words) => start(words, { VMSWITCH_CONTROL: socket, NO_COLOR: '1' }),
    async close() {
      for (const peer of peers.values()) peer.vanish()
      up.child.kill('SIGINT')
      await up.ended
      rmSync(directory, { recursive: true })
    },
  }
}
