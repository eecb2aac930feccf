// A switch with two vhost-user ports in a process of its own: what the benchmarks load. Its options come as JSON in the first argument.
// It prints one JSON line when it listens, answers the lines "counters", "heap" and "collect" on standard input with another each, and
// ends with its input.
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createSwitch, type SwitchConfig } from '../src/engine/host.ts'
import { type InBoxExtensionName, inBoxExtensionUrl } from '../src/extensions/catalog.ts'
import { askHeap } from './alloc/heap-question.ts'
import { FLOWGEN_NETWORK, MANY_RULES, ruleOptions, ruleSet } from './policy/rule-sets.ts'

/**
 * Which extensions are loaded: none; counters, an ACL of 100 rules and the MAC guard; the same with rules of which half match every
 * frame in all but its source address, so that the address of every frame has to be searched among the prefixes; or the three and the
 * learning forwarder, which then decides in the switch's place.
 */
export type StackName = 'none' | 'three' | 'threeWithPrefixes' | 'four' | 'noDelay' | 'delay'

export interface SwitchProcessOptions {
  readonly stack: StackName
  readonly sockets: readonly [string, string]
  /** The left port is an uplink on this interface, and not a vhost-user port. */
  readonly uplink?: { readonly interface: string; readonly via: 'packet' | 'xdp' }
  /** Host processor of the data path. */
  readonly processor: number
  readonly directory: string
  /** Source addresses that mac-guard allows at the two ports; without them GENERATOR_MAC at both. */
  readonly macs?: readonly [string, string]
  /** The left port has stateful rules, which let everything through and follow it. */
  readonly stateful?: boolean
  /** So many extended rules at each port, for what it sends: all allow. */
  readonly rules?: number
}

const options = JSON.parse(process.argv[2] ?? '{}') as SwitchProcessOptions

/** What every frame of testpmd's flowgen has as source address, on both ports. */
const GENERATOR_MAC = '00:01:02:03:04:00'
const RULES = 100
const portNames = ['left', 'right'] as const
const [leftMac, rightMac] = options.macs ?? [GENERATOR_MAC, GENERATOR_MAC]

// Flowgen sends UDP from port 1000 to 1001, from 10.254.0.0 to addresses from 10.253.0.0 on; no rule denies it.
const rulesByPort = Array.from({ length: RULES }, (_, i) => ({
  action: 'deny',
  protocol: i % 2 === 0 ? 'udp' : 'tcp',
  destinationPorts: 2000 + i,
  ...(i % 4 < 2 ? {} : { sourcePrefix: `10.252.${i}.0/24` }),
}))
const rulesWithPrefixes = rulesByPort.map((rule, i) =>
  i % 2 === 0 ? { action: 'deny', protocol: 'udp', destinationPorts: '1-65535', sourcePrefix: `10.252.${i}.0/24` } : rule,
)

const extension = (name: InBoxExtensionName, options: unknown): SwitchConfig['extensions'][number] => ({
  name,
  file: fileURLToPath(inBoxExtensionUrl(name)!),
  enabled: true,
  onFailure: 'closed',
  options,
})

const three = (rules: readonly object[]): SwitchConfig['extensions'] => [
  extension('counters', {}),
  extension('acl', { default: 'allow', rules }),
  extension('mac-guard', { allow: { left: [leftMac], right: [rightMac] }, unknown: 'drop' }),
]

const delayed = (delay: string): SwitchConfig['extensions'] => [extension('impairment', { rules: [{ ports: ['right'], delay }] })]

const stacks: Record<StackName, SwitchConfig['extensions']> = {
  none: [],
  three: three(rulesByPort),
  threeWithPrefixes: three(rulesWithPrefixes),
  noDelay: delayed('0ms'),
  delay: delayed('1ms'),
  four: [...three(rulesByPort), extension('learning-forward', {})],
}

const vhostUser = (path: string): SwitchConfig['ports'][number]['endpoint'] => ({
  kind: 'vhost-user',
  path,
  mode: 'server',
  queuePairs: 1,
  mtu: 1500,
  requireSeals: false, // memfds of huge pages have none
})
const endpoints = [
  options.uplink
    ? ({ kind: 'uplink', ...options.uplink, queues: 1, promiscuous: true, qdiscBypass: false } as const)
    : vhostUser(options.sockets[0]),
  vhostUser(options.sockets[1]),
]

const running = await createSwitch(
  {
    name: 'bench',
    type: options.uplink ? 'external' : 'private',
    processors: 1,
    extensions: stacks[options.stack],
    ports: portNames.map((name, i) => ({
      name,
      mac: null,
      macSpoofing: 'on',
      learning: true,
      link: 'up',
      endpoint: endpoints[i]!,
    })),
    macTable: { entries: 4096, ageingSeconds: 300 },
    directory: options.directory,
    pin: [options.processor],
  },
  {
    log: ({ source, code, message }) => process.stderr.write(`${source}: ${code}: ${message}\n`),
    fatal: () => process.exit(1),
  },
)
if (options.stateful) {
  const rules = ['outbound', 'inbound'].map((direction) => ({ name: direction, action: 'allow', direction, stateful: true }))
  await running.policies.add(running.portId('left'), { type: 'extended-acl', value: { rules } })
}
if (options.rules !== undefined) {
  const step = MANY_RULES / options.rules // few are some of the many
  const rules = ruleSet(MANY_RULES, 4, 11, FLOWGEN_NETWORK).filter((_, i) => i % step === 0)
  for (const name of portNames)
    await running.policies.add(running.portId(name), { type: 'extended-acl', value: { rules: rules.map(ruleOptions) } })
}
const say = (answer: Record<string, unknown>): boolean => process.stdout.write(`${JSON.stringify(answer)}\n`)

say({ listening: options.sockets })
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'heap' || line === 'collect') say({ heap: await askHeap(line === 'collect') })
  if (line === 'counters')
    say({
      counters: {
        ports: running.ports().map(({ name, queues, detail, counters }) => ({ name, queues, detail, ...counters })),
        drops: running.drops(),
        connections: running.policies.connections.figures(),
        processors: running.processors(),
        extensions: await running.extensions(),
      },
    })
}
await running.close()
