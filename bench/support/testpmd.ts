// DPDK's testpmd in its two roles: the generator (virtio-user, flowgen) that loads every switch and counts what comes back, and the C
// switch without look-up (vhost, io) that is one of the rivals.
//
// The rule it must not break: rates come from the generator's own received packets, read the same way whatever switch is loaded.
import { Child } from './child.ts'
import type { Scope } from './scope.ts'

const START_MS = 20_000
const ANSWER_MS = 15_000
const PORTS = 2

/** Descriptors in a ring of the generator and of the vhost rival. */
export const RING_SIZE = 1024
/** Megabytes of huge pages that one testpmd takes: its packet buffers and what the EAL needs beside them. */
export const TESTPMD_MEMORY_MIB = 128
/** Packet buffers of one testpmd: enough for four full rings with what is cached in between. */
const PACKET_BUFFERS = 16384

interface Lcores {
  /** Where the forwarding loop runs. */
  readonly forwarding: number
  /** Where the main thread sleeps between two commands. */
  readonly main: number
}

// Memory is a sealed-off memfd of huge pages (--in-memory): nothing to unlink, no hugetlbfs mount, no run directory.
const ealArguments = (prefix: string, lcores: Lcores): string[] => [
  '--lcores',
  `0@${lcores.main},1@${lcores.forwarding}`,
  '--main-lcore',
  '0',
  '--no-pci',
  '--no-telemetry',
  '--in-memory',
  '--file-prefix',
  prefix,
  '-m',
  String(TESTPMD_MEMORY_MIB),
]

const forwardingArguments = (mode: string): string[] => [
  '--nb-cores=1',
  `--forward-mode=${mode}`,
  `--txd=${RING_SIZE}`,
  `--rxd=${RING_SIZE}`,
  `--total-num-mbufs=${PACKET_BUFFERS}`,
]

// Its standard output is a pipe: without stdbuf, answers would stay in its buffer.
const throughStdbuf = (args: readonly string[]): { program: string; args: string[] } => ({
  program: 'stdbuf',
  args: ['-oL', 'dpdk-testpmd', ...args],
})

export interface GeneratorOptions {
  readonly name: string
  /** vhost-user sockets of the two switch ports. */
  readonly sockets: readonly [string, string]
  /** True if the switch connects to the generator and not the other way round. */
  readonly listens: boolean
  readonly lcores: Lcores
  /**
   * Addresses of its two ports, whose frames go to each other's: what it receives it passes on. Without them it makes frames from an
   * address that both ports share to one that nobody has.
   */
  readonly macs?: MacPair | undefined
  /** Destination addresses that frames of its own go to, from each port; testpmd's number without it. */
  readonly flows?: number | undefined
}

/** MAC addresses of a generator's ports, lower case. */
export type MacPair = readonly [string, string]

/** Bursts of 32 frames that circulate in either direction: fewer than a ring holds, so that none is lost. */
const CIRCULATING_BURSTS = 16

/** A generator with two virtio-user ports on one forwarding thread. */
export class Generator {
  readonly child: Child

  readonly #start: string

  private constructor(child: Child, start: string) {
    this.child = child
    this.#start = start
  }

  /** Starts one; it is connected and ready, but sends nothing yet. */
  static async start(options: GeneratorOptions, scope: Scope): Promise<Generator> {
    const { macs } = options
    const devices = options.sockets.flatMap((path, i) => [
      '--vdev',
      `net_virtio_user${i},path=${path},queues=1,queue_size=${RING_SIZE}${options.listens ? ',server=1' : ''}${options.macs ? `,mac=${options.macs[i]}` : ''}`,
    ])
    const child = new Child(
      {
        name: `generator for ${options.name}`,
        ...throughStdbuf([
          ...ealArguments(`vmswitch-bench-${process.pid}-${options.name}-generator`, options.lcores),
          '--single-file-segments',
          ...devices,
          '--',
          '--interactive',
          ...forwardingArguments(macs ? 'io' : 'flowgen'),
          ...(options.flows === undefined ? [] : [`--flowgen-flows=${options.flows}`]),
          ...(macs ? [`--eth-peer=0,${macs[1]}`, `--eth-peer=1,${macs[0]}`] : []),
        ]),
      },
      scope,
    )
    await child.until('prompt', START_MS, (output) => (output.includes('testpmd> ') ? true : undefined))
    return new Generator(child, macs ? `start tx_first ${CIRCULATING_BURSTS}` : 'start')
  }

  /** Starts sending frames of `bytes` (without FCS) on both ports. */
  send(bytes: number): void {
    this.child.tell(`set txpkts ${bytes}`)
    this.child.tell(this.#start)
  }

  /** Stops sending; settles when it has stopped. */
  async stop(): Promise<void> {
    this.child.forget()
    this.child.tell('stop')
    await this.child.until('end of sending', ANSWER_MS, (output) => (/Done\.|not started/.test(output) ? true : undefined))
  }

  /** Frames received a second on both ports together, since the last call. */
  async receivedPerSecond(): Promise<number> {
    this.child.forget()
    this.child.tell('show port stats all')
    return this.child.until('statistics', ANSWER_MS, (output) => {
      // Tx-pps follows Rx-pps on a line of its own: when all are there, all Rx-pps are complete.
      if ([...output.matchAll(/Tx-pps:\s+\d+\s/g)].length < PORTS) return undefined
      return [...output.matchAll(/Rx-pps:\s+(\d+)/g)].reduce((sum, [, rate]) => sum + Number(rate), 0)
    })
  }
}

/** Starts testpmd as a switch that passes each frame to the other port unseen. */
export async function startForwarder(sockets: readonly [string, string], lcores: Lcores, scope: Scope): Promise<Child> {
  const devices = sockets.flatMap((path, i) => ['--vdev', `net_vhost${i},iface=${path},queues=1`])
  const child = new Child(
    {
      name: 'testpmd',
      ...throughStdbuf([
        ...ealArguments(`vmswitch-bench-${process.pid}-forwarder`, lcores),
        ...devices,
        '--',
        '--auto-start',
        ...forwardingArguments('io'),
      ]),
    },
    scope,
  )
  await child.until('start of forwarding', START_MS, (output) => (/Press enter to exit/.test(output) ? true : undefined))
  return child
}
