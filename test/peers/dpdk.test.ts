// DPDK's virtio-user driver as a guest: another implementation of the front-end and of every ring format, at a rate that no emulated
// guest reaches. Needs dpdk-testpmd; no huge pages and no network card.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createSwitch, type RunningSwitch } from '../../src/engine/host.ts'

const found = spawnSync('dpdk-testpmd', ['--version']).error === undefined
const options = { skip: found ? false : 'dpdk-testpmd is not installed: apt-get install dpdk-dev', timeout: 90_000 }
const FRAMES_WANTED = 200_000
const WAIT_MS = 60_000

interface Variant {
  readonly name: string
  /** Properties of the two devices. */
  readonly devices: readonly [string, string]
  readonly mode?: 'server' | 'client'
  readonly bytes?: number
}

const variants: readonly Variant[] = [
  { name: 'split rings', devices: ['', ''] },
  { name: 'packed rings', devices: ['packed_vq=1', 'packed_vq=1'] },
  { name: 'in-order split rings', devices: ['in_order=1', 'in_order=1'] },
  { name: 'in-order packed rings', devices: ['in_order=1,packed_vq=1', 'in_order=1,packed_vq=1'] },
  { name: 'rings without mergeable buffers', devices: ['mrg_rxbuf=0', 'mrg_rxbuf=0'] },
  {
    name: 'a packed ring and an in-order split one without mergeable buffers',
    devices: ['packed_vq=1', 'in_order=1,mrg_rxbuf=0'],
  },
  { name: 'frames of 1500 bytes in packed rings', devices: ['packed_vq=1', 'packed_vq=1'], bytes: 1500 },
  { name: 'a front-end that listens while the switch connects', devices: ['server=1', 'server=1'], mode: 'client' },
]

/** A switch with two learning ports at sockets in a folder of its own. */
async function openSwitch(
  context: TestContext,
  mode: 'server' | 'client',
): Promise<{ vmswitch: RunningSwitch; paths: string[]; log: string[] }> {
  const directory = mkdtempSync(join(tmpdir(), 'vmd-'))
  const log: string[] = []
  const paths = ['a', 'b'].map((name) => join(directory, name))
  const vmswitch = await createSwitch(
    {
      name: 'dpdk',
      type: 'private',
      processors: 1,
      directory,
      extensions: [],
      macTable: { entries: 1024, ageingSeconds: 300 },
      ports: paths.map((path, i) => ({
        name: i === 0 ? 'a' : 'b',
        mac: null,
        macSpoofing: 'off',
        learning: true,
        link: 'up',
        endpoint: { kind: 'vhost-user', path, mode, queuePairs: 1, mtu: 1500, requireSeals: false },
      })),
    },
    { log: (event) => log.push(`${event.source}: ${event.code}: ${event.message}`) },
  )
  context.after(async () => {
    await vmswitch.close()
    rmSync(directory, { recursive: true, force: true })
  })
  return { vmswitch, paths, log }
}

/** testpmd that sends to both ports and counts what comes back. */
function startGenerator(
  context: TestContext,
  paths: readonly string[],
  { devices, bytes = 64 }: Variant,
): { child: ChildProcess; output: () => string } {
  const prefix = `vmt${process.pid}-${Math.floor(Math.random() * 1e6)}`
  const vdevs = devices.flatMap((properties, i) => [
    '--vdev',
    `net_virtio_user${i},path=${paths[i]},queues=1,queue_size=256${properties === '' ? '' : `,${properties}`}`,
  ])
  const child = spawn(
    'dpdk-testpmd',
    [
      ...['-l', '0,1', '--main-lcore', '1', '--no-pci', '--no-huge', '-m', '512', '--file-prefix', prefix, ...vdevs, '--'],
      ...[
        '--nb-cores=1',
        '--forward-mode=flowgen',
        `--txpkts=${bytes}`,
        '--total-num-mbufs=16384',
        '--stats-period',
        '1',
        '--auto-start',
      ],
    ],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  )
  let text = ''
  const collect = (data: Buffer): void => {
    text = (text + data.toString()).slice(-20_000)
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  context.after(() => child.kill('SIGKILL'))
  return { child, output: () => text }
}

/** What each device of the generator last said it received. */
const received = (output: string): number[] =>
  [0, 1].map((port) => {
    const blocks = [...output.matchAll(new RegExp(`NIC statistics for port ${port} [^]*?RX-packets: (\\d+)`, 'g'))]
    return Number(blocks.at(-1)?.[1] ?? 0)
  })

async function until(condition: () => boolean, explain: () => string): Promise<void> {
  for (const deadline = Date.now() + WAIT_MS; !condition(); ) {
    assert.ok(Date.now() < deadline, explain())
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

for (const variant of variants)
  test(`DPDK exchanges frames over ${variant.name}`, options, async (context) => {
    const { vmswitch, paths, log } = await openSwitch(context, variant.mode ?? 'server')
    const { child, output } = startGenerator(context, paths, variant)
    const explain = (): string =>
      JSON.stringify({ ports: vmswitch.ports(), drops: vmswitch.drops(), log, output: output() }, null, 1)
    await until(() => received(output()).every((frames) => frames >= FRAMES_WANTED) || child.exitCode !== null, explain)
    assert.equal(child.exitCode, null, explain())
    const ports = vmswitch.ports()
    for (const port of ports) {
      const rings = port.detail.rings as {
        state: string
        problem: unknown
        badBuffer: number
        badChain: number
        tooBig: number
      }[]
      assert.deepEqual(
        rings.map(({ state, problem, badBuffer, badChain, tooBig }) => [state, problem, badBuffer, badChain, tooBig]),
        [
          ['running', null, 0, 0, 0],
          ['running', null, 0, 0, 0],
        ],
        explain(),
      )
    }
    // A generator that can't keep up loses frames in its receive ring; nothing else may be lost.
    const reasons = new Set(vmswitch.drops().flatMap((drop) => Object.keys(drop.reasons)))
    for (const expected of [
      'receive-ring-full',
      'destination-not-connected',
      'no-destination',
      'link-down',
      'source-not-connected',
    ])
      reasons.delete(expected)
    assert.deepEqual([...reasons], [], explain())
    child.kill('SIGTERM')
    await until(() => vmswitch.ports().every((port) => !port.connected), explain)
  })

test('a generator killed with SIGKILL in the middle of a burst frees its port for the next', options, async (context) => {
  const { vmswitch, paths } = await openSwitch(context, 'server')
  for (let round = 0; round < 3; round++) {
    const { child, output } = startGenerator(context, paths, variants[0]!)
    await until(() => received(output()).every((frames) => frames > 1000), output)
    child.kill('SIGKILL')
    await until(
      () => vmswitch.ports().every((port) => !port.connected),
      () => JSON.stringify(vmswitch.ports()),
    )
  }
})
