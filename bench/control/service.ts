// `vmswitch serve` as a process of its own, with a state directory and a control socket of its own, and what it is asked from outside.
//
// The rule it must not break: it is started, configured and asked as an operator does, by the command line and the control socket.
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { requestTo } from '../../src/manage/control/control-place.ts'
import { BenchError } from '../benchmark.ts'
import { Child } from '../support/child.ts'
import type { Scope } from '../support/scope.ts'

const START_MS = 60_000
const HTTP_OK = 200
const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const run = promisify(execFile)

/** Where a service keeps its things. */
export interface ServicePlace {
  /** A directory of its own. */
  readonly directory: string
  /** Host processor that it starts on; all without it. */
  readonly processor?: number
}

const control = ({ directory }: ServicePlace): string => join(directory, 'control.sock')

/** Path of the vhost-user socket of the port with this number. */
export const portSocket = ({ directory }: ServicePlace, port: number): string => join(directory, `p${port}.sock`)

/** Starts the service; `ms` is the time from the start of its process until it says that it is ready. */
export async function startService(place: ServicePlace, scope: Scope): Promise<{ child: Child; ms: number }> {
  const began = performance.now()
  const child = new Child(
    {
      name: 'vmswitch serve',
      program: process.execPath,
      args: [main, 'serve', '--state', join(place.directory, 'state'), '--control', control(place), '--json'],
      ...(place.processor === undefined ? {} : { processor: place.processor }),
    },
    scope,
  )
  await child.until('"ready"', START_MS, (output) => (output.includes('{"event":"ready"') ? true : undefined))
  return { child, ms: performance.now() - began }
}

/** Writes a configuration with so many vhost-user ports, and returns its path. */
export function writeConfiguration(place: ServicePlace, ports: number, vlans: boolean): string {
  const file = join(place.directory, `ports-${ports}.yaml`)
  const configuration = {
    switch: {
      name: 'bench',
      extensions: [{ use: 'counters' }],
      ports: Array.from({ length: ports }, (_, i) => ({
        name: `p${i}`,
        macSpoofing: 'on',
        ...(vlans ? { vlan: 1 + i } : {}),
        endpoint: { kind: 'vhost-user', path: portSocket(place, i), requireSeals: false }, // memfds of huge pages have none
      })),
    },
    runtime: { directory: join(place.directory, 'run') },
  }
  writeFileSync(file, stringify(configuration))
  return file
}

/** Carries out `vmswitch apply`; returns the milliseconds from the start of that process to its end. Throws if it fails. */
export async function applyFile(place: ServicePlace, file: string): Promise<number> {
  const began = performance.now()
  await run(process.execPath, [main, 'apply', file, '--socket', control(place)], { maxBuffer: 2 ** 24 })
  return performance.now() - began
}

/** Milliseconds from the request to the last byte of its answer, and its length. */
export interface Answered {
  readonly ms: number
  readonly bytes: number
  readonly text: string
}

/** Asks the service for `route` through its control socket. */
export function ask(place: ServicePlace, route: string): Promise<Answered> {
  const began = performance.now()
  return new Promise((resolve, reject) => {
    const outgoing = requestTo(control(place), { method: 'GET', route }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const ms = performance.now() - began
        const all = Buffer.concat(chunks)
        if (incoming.statusCode === HTTP_OK) resolve({ ms, bytes: all.length, text: all.toString('utf8') })
        else reject(new BenchError('CHILD_FAILED', `${route} was answered with ${incoming.statusCode}: ${all}`))
      })
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}
