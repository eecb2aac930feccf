// What `npm run bench -- vf` compares: two virtual functions of an adapter, two of as many as an adapter has, two ports of the switch
// with its stack of three extensions, testpmd. All get the same frames from the same generator.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child } from '../support/child.ts'
import { Generator, type MacPair } from '../support/testpmd.ts'
import { lcores, own, type Rival, testpmd } from '../vhost/rivals.ts'
import type { VfProcessOptions } from './vf-process.ts'

const START_MS = 30_000
/** Most virtual functions that an adapter of the engine has. */
const VFS_MAX = 63
const program = fileURLToPath(new URL('vf-process.ts', import.meta.url))

/** Addresses of the two guests that are loaded. */
const MACS: MacPair = ['02:00:00:00:00:01', '02:00:00:00:00:02']

/** An adapter without uplink, with `vfs` virtual functions; the first two are loaded, the others' guests are idle. */
const functions = (name: string, vfs: number, title: string): Rival => ({
  name,
  title,
  packages: [],
  memoryMiB: 0,
  async start({ directory, processors }, scope) {
    mkdirSync(directory, { recursive: true })
    const sockets = [join(directory, '0.sock'), join(directory, '1.sock')] as const
    const options: VfProcessOptions = { vfs, directory, processor: processors.switch, macs: MACS }
    const child = new Child(
      { name, program: process.execPath, args: [program, JSON.stringify(options)], processor: processors.generator },
      scope,
    )
    await child.until('"listening"', START_MS, (output) => (output.includes('"listening"') ? true : undefined))
    const generator = await Generator.start({ name, sockets, listens: false, lcores: lcores(processors), macs: MACS }, scope)
    await child.until('"active"', START_MS, (output) => (output.includes('"active"') ? true : undefined))
    return { switch: child, generator }
  },
})

export const vfRivals: readonly Rival[] = [
  functions('vf', 2, 'two virtual functions of an adapter'),
  functions('vf64', VFS_MAX, `two of ${VFS_MAX} virtual functions, the guests of the others idle`),
  own('synthetic', 'three', 'vmswitch, counters + ACL of 100 rules + MAC guard', MACS),
  testpmd(MACS),
]
