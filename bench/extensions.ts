// Nanoseconds per packet of the extensions in the box that look at every packet, in cache, over bursts of 64: frames of one flow each
// to another address, and frames of many protocols, ports and source addresses. Prints the minima of several rounds, less what an empty
// stack takes. Then what others cost on the whole way of a packet.
//
//   node bench/extensions.ts [rounds]
import type { Batch } from '../src/extension.ts'
import acl from '../src/extensions/acl/index.ts'
import counters from '../src/extensions/counters/index.ts'
import learningForward from '../src/extensions/learning-forward/index.ts'
import macGuard from '../src/extensions/mac-guard/index.ts'
import { arpRequestFrame, tcpFrame, udpFrame } from '../src/packet/build.ts'
import { ExtensionHost, type HostedExtension } from '../test/support/extension-host.ts'
import { turnCases } from './extension-turns.ts'

const ROUNDS = Number(process.argv[2] ?? 60)
const WARM_UP_ROUNDS = 16
const BURST = 64
const BURSTS = 300
const RULES = 100

const port = '02:00:00:00:00:01'
const others = ['02:00:00:00:00:11', '02:00:00:00:00:12'] as const
const macs = [port, port, ...others] as const
const destinationMac = '02:00:00:00:00:02'
const data = new Uint8Array(22)

let seed = 12345
function random(below: number): number {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
  return (seed >>> 8) % below
}

function mixedFrame(): Uint8Array {
  const sourceMac = macs[random(macs.length)]!
  const pair = { sourceMac, destinationMac, source: `10.254.${random(9)}.${random(250)}`, destination: '10.253.0.9' }
  const high = 1024 + random(60000)
  switch (random(5)) {
    case 0:
      return tcpFrame(pair, high, 443 + random(3), { data })
    case 1:
      return udpFrame(pair, high, 5000 + random(3000), data)
    case 2:
      return arpRequestFrame(sourceMac, '10.0.0.1', '10.0.0.2')
    case 3:
      return tcpFrame({ ...pair, source: 'fd00::1', destination: 'fd00::2' }, high, 80, { data })
    default:
      return tcpFrame(pair, 443, high, { data })
  }
}

const traffic = {
  flow: Array.from({ length: BURST }, (_, i) =>
    udpFrame({ sourceMac: port, destinationMac, source: '10.254.0.0', destination: `10.253.0.${i + 1}` }, 1000, 1001, data),
  ),
  mixed: Array.from({ length: BURST }, mixedFrame),
}

// The rules of the benchmark `vhost`: they deny nothing of this traffic.
const byPort = Array.from({ length: RULES }, (_, i) => ({
  action: 'deny',
  protocol: i % 2 === 0 ? 'udp' : 'tcp',
  destinationPorts: 2000 + i,
  ...(i % 4 < 2 ? {} : { sourcePrefix: `10.252.${i}.0/24` }),
}))
const byPrefix = byPort.map((rule, i) =>
  i % 2 === 0 ? { action: 'deny', protocol: 'udp', destinationPorts: '1-65535', sourcePrefix: `10.252.${i}.0/24` } : rule,
)
const guard = { definition: macGuard, options: { allow: { left: others } } }
const rules = (list: readonly object[]): HostedExtension => ({ definition: acl, options: { rules: list } })

const EMPTY = 'empty'
const stacks: Readonly<Record<string, readonly HostedExtension[]>> = {
  [EMPTY]: [],
  counters: [{ definition: counters }],
  acl: [rules(byPort)],
  'acl, prefixes': [rules(byPrefix)],
  'mac-guard': [guard],
  'learning-forward': [{ definition: learningForward, options: {} }],
  'all three': [{ definition: counters }, rules(byPort), guard],
}

interface Case {
  readonly stack: string
  readonly column: string
  readonly run: () => void
  best: number
}

async function casesOf(stack: string, kind: keyof typeof traffic): Promise<Case[]> {
  let taken: Batch | undefined
  const taker = {
    id: '00000000-0000-0000-0000-000000000009',
    name: 'taker',
    version: '1.0.0',
    class: 'capturing',
    attach: () => ({
      ingress(batch: Batch) {
        taken = batch
      },
    }),
  }
  const host = new ExtensionHost([{ definition: taker }, ...stacks[stack]!])
  await host.addPorts({ name: 'left', mac: port }, { name: 'right', mac: destinationMac })
  host.send('left', ...traffic[kind])
  const batch = taken!
  host.source('left', traffic[kind]).receive(0, BURST)
  return (['ingress', 'egress'] as const).map((direction) => ({
    stack,
    column: `${kind} ${direction}`,
    best: Number.POSITIVE_INFINITY,
    run() {
      for (let k = 0; k < BURSTS; k++) {
        for (let i = 0; i < BURST; i++) {
          batch.slots[i] = i
          if (direction === 'ingress') batch.pool.destinationCount[i] = 0
        }
        batch.length = BURST
        batch.ingress = direction === 'ingress'
        batch.dirty = false
        batch.oneSource = true
        host.dataPath.stack[direction](batch)
        if (batch.length !== BURST) throw new Error(`"${stack}" dropped a packet of the benchmark`)
      }
    },
  }))
}

const cases: Case[] = []
for (const stack of Object.keys(stacks)) cases.push(...(await casesOf(stack, 'flow')), ...(await casesOf(stack, 'mixed')))
for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++)
  for (const one of cases) {
    const before = process.hrtime.bigint()
    one.run()
    const ns = Number(process.hrtime.bigint() - before) / (BURSTS * BURST)
    if (round >= WARM_UP_ROUNDS) one.best = Math.min(one.best, ns)
  }
const turns = await turnCases()
for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++)
  for (const one of turns) {
    const before = process.hrtime.bigint()
    one.run()
    const ns = Number(process.hrtime.bigint() - before) / one.packets
    if (round >= WARM_UP_ROUNDS) one.best = Math.min(one.best, ns)
  }
const empty = (column: string): number => cases.find((one) => one.stack === EMPTY && one.column === column)!.best
const rows = Object.keys(stacks).filter((stack) => stack !== EMPTY)
console.log('nanoseconds per packet')
console.table(
  Object.fromEntries(
    rows.map((stack) => [
      stack,
      Object.fromEntries(
        cases
          .filter((one) => one.stack === stack)
          .map(({ column, best }) => [column, Number(Math.max(0, best - empty(column)).toFixed(1))]),
      ),
    ]),
  ),
)
console.log('nanoseconds per packet through the whole data path, with compiled kernels and without rings')
console.table(Object.fromEntries(turns.map(({ name, best }) => [name, Number(best.toFixed(1))])))
