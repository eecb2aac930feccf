// A vhost-user port with a processor's side and no engine, for tests: control half, data half, and front-ends that are closed with it.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { testFrame } from '../../src/endpoints/compliance-frames.ts'
import type { EndpointControl } from '../../src/endpoints/endpoint.ts'
import { createVhostUserControl, type VhostUserOptions } from '../../src/endpoints/vhost-user/control.ts'
import { WindowAllocator } from '../../src/vhost-user/window-allocator.ts'
import { DataHalf } from './data-half.ts'
import { temporaryDirectory } from './temp-dir.ts'
import { FrontEnd, type SetUpOptions } from './vhost-front-end.ts'

const directory = temporaryDirectory()
let ports = 0

export interface VhostPort {
  readonly path: string
  readonly half: DataHalf
  readonly control: EndpointControl
  readonly windows: WindowAllocator
  /** Addresses that guests asked to be announced. */
  readonly announced: string[]
  /** Codes of the events so far. */
  codes(): string[]
  /** A connected front-end that has said nothing. */
  connect(): FrontEnd
  /** A front-end whose rings run. */
  start(options?: SetUpOptions): Promise<FrontEnd>
  /** The facts that `status` shows, loosely typed. */
  facts(): Facts
}

export interface Facts {
  readonly connected: boolean
  readonly engine: string
  readonly engineReason: string
  readonly features: string[]
  readonly mtu: number | null
  readonly dirtyLog: boolean
  readonly memory: { guestAddress: number; bytes: number; sealed: boolean }[]
  readonly rings: { index: number; size: number; state: string; problem: string | null; noBuffer: number }[]
}

/** Runs `work` with an open port and closes all afterwards. */
export async function withPort(options: Partial<VhostUserOptions>, work: (port: VhostPort) => Promise<void>): Promise<void> {
  const path = join(directory, `${ports++}.sock`)
  const half = new DataHalf()
  const windows = new WindowAllocator()
  const announced: string[] = []
  const frontEnds: FrontEnd[] = []
  const control = createVhostUserControl(
    { port: 1, path, mode: 'server', queuePairsMax: 1, reconnectMs: 5, ...options },
    {
      memory: half.memory,
      windows,
      events: half.events,
      announce: (mac) => announced.push(Buffer.from(mac).toString('hex')),
    },
  )
  const connect = (): FrontEnd => {
    const frontEnd = FrontEnd.connect(path)
    frontEnds.push(frontEnd)
    return frontEnd
  }
  await control.open()
  try {
    await work({
      path,
      half,
      control,
      windows,
      announced,
      connect,
      codes: () => half.told.map(({ code }) => code),
      facts: () => control.describe() as unknown as Facts,
      async start(setUp) {
        const frontEnd = connect()
        await frontEnd.setUp(setUp)
        await half.until(() => half.linkUp, 'the link')
        return frontEnd
      },
    })
  } finally {
    for (const frontEnd of frontEnds) frontEnd.close()
    await control.close()
    half.close()
  }
}

/** Frames pass in both directions. */
export async function passes({ half }: VhostPort, frontEnd: FrontEnd): Promise<void> {
  half.inbox.length = 0
  assert.ok(frontEnd.send(testFrame(1500, 7)))
  await half.until(() => half.inbox.length > 0, 'a frame of the guest')
  assert.deepEqual(half.inbox[0]!.bytes, testFrame(1500, 7))
  assert.equal(half.deliver([testFrame(3000, 8)]), 1)
  assert.deepEqual(frontEnd.receive(), [testFrame(3000, 8)])
}
