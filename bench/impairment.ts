// What a delay of 1 ms does to the throughput between two network namespaces on TAP ports: TCP, and datagrams of 64 and 1400 bytes, with the
// extension and without, in turns. Prints the medians and their ratios. Needs root and iperf3.
//
//   node bench/impairment.ts [seconds] [rounds]
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createSwitch, type PortConfig, type RunningSwitch } from '../src/engine/host.ts'
import { inBoxExtensionUrl } from '../src/extensions/catalog.ts'
import { whyNoTap } from '../test/support/machine.ts'
import { temporaryDirectory } from '../test/support/temp-dir.ts'
import { Namespace, run } from '../test/support/veth.ts'

const SECONDS = Number(process.argv[2] ?? 2)
const ROUNDS = Number(process.argv[3] ?? 3)
const NAME = 'impairment'
const address = (side: number): string => `10.83.0.${side + 1}`
const loads = {
  'TCP, Mbit/s': [],
  'TCP, 4 streams, Mbit/s': ['-P', '4'],
  'UDP 64 B, kpps': ['-u', '-b', '0', '-l', '22'],
  'UDP 1400 B at 900 Mbit/s, kpps': ['-u', '-b', '900M', '-l', '1358'],
} as const

interface Report {
  readonly end: {
    readonly sum_received?: { readonly bits_per_second: number }
  }
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

async function world(sides: readonly Namespace[]): Promise<RunningSwitch> {
  const interfaces = sides.map((_, i) => `vi${process.pid % 100000}x${i}`)
  const ports = interfaces.map(
    (name, i): PortConfig => ({
      name: `p${i}`,
      mac: `02:00:00:00:83:0${i + 1}`,
      macSpoofing: 'off',
      learning: false,
      link: 'up',
      endpoint: { kind: 'tap', interface: name, mtu: 1500, queues: 1 },
    }),
  )
  const options = { rules: [{ ports: ['p1'], delay: 1 }] }
  const file = fileURLToPath(inBoxExtensionUrl(NAME)!)
  const vmswitch = await createSwitch(
    {
      name: 'impaired',
      type: 'private',
      processors: 1,
      extensions: [{ name: NAME, file, enabled: false, onFailure: 'closed', options }],
      ports,
      macTable: { entries: 64, ageingSeconds: 0 },
      directory: temporaryDirectory(),
    },
    { log: () => {} },
  )
  for (const [i, side] of sides.entries()) {
    run('ip', 'link', 'set', interfaces[i]!, 'netns', side.name)
    side.ip('link', 'set', interfaces[i]!, 'address', `02:00:00:00:83:0${i + 1}`, 'up')
    side.ip('address', 'add', `${address(i)}/24`, 'dev', interfaces[i]!)
  }
  for (let i = 0; i < 500 && !vmswitch.ports().every(({ connected }) => connected); i++) await sleep(10)
  return vmswitch
}

// Frames that came to the interface of a side: what a socket with too little room loses behind it is no concern of the switch.
const received = (side: Namespace): number =>
  (
    JSON.parse(side.ip('-j', '-s', 'link')) as {
      readonly stats64: { readonly rx: { readonly packets: number } }
      ifname: string
    }[]
  )
    .filter(({ ifname }) => ifname.startsWith('vi'))
    .reduce((sum, { stats64 }) => sum + stats64.rx.packets, 0)

// Runs iperf3 and reads its report; the switch goes on in this process meanwhile.
async function measure(client: Namespace, words: readonly string[]): Promise<number> {
  const all = ['netns', 'exec', client.name, 'iperf3', '-c', address(1), '-t', `${SECONDS}`, '-J', ...words]
  const before = received(sides[1]!)
  const child = spawn('ip', all, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (data) => {
    text += String(data)
  })
  await new Promise((resolve) => child.on('close', resolve))
  const { end } = JSON.parse(text) as Report
  if (!words.includes('-u')) return (end.sum_received?.bits_per_second ?? 0) / 1e6
  return (received(sides[1]!) - before) / SECONDS / 1000
}

const missing = whyNoTap()
if (missing) {
  console.log(missing)
  process.exit(1)
}
const sides = [new Namespace(), new Namespace()]
const vmswitch = await world(sides)
const server = spawn('ip', ['netns', 'exec', sides[1]!.name, 'iperf3', '-s'], { stdio: 'ignore' })
try {
  await sleep(500)
  const rows: Record<string, object> = {}
  for (const [name, words] of Object.entries(loads)) {
    const without: number[] = []
    const delayed: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      await vmswitch.setExtension(NAME, false)
      without.push(await measure(sides[0]!, words))
      await vmswitch.setExtension(NAME, true)
      delayed.push(await measure(sides[0]!, words))
    }
    const [plain, slow] = [median(without), median(delayed)]
    rows[name] = { without: Math.round(plain), 'with 1 ms': Math.round(slow), ratio: Number((slow / plain).toFixed(2)) }
  }
  console.table(rows)
} finally {
  server.kill()
  await vmswitch.close()
  for (const side of sides) side.delete()
}
