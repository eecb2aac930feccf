// The two guests of `npm run bench -- igbvf`. Both have the three kinds of network card that are compared, each in a network of its own;
// what is not measured is idle. The load is one TCP connection: `dd` writes zeros into it in one guest, `dd` throws them away in the other.
//
// The rule it must not break: bytes are counted by the receiving guest's own kernel, over a stretch of time that the same guest took,
// with the connection under way before and after.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureGuestImage, type GuestImage } from '../../src/lab/images.ts'
import { ensureNewQemu } from '../../src/lab/new-qemu.ts'
import { QemuGuest } from '../../src/lab/qemu.ts'
import type { BenchComponents } from '../benchmark.ts'
import type { Scope } from '../support/scope.ts'
import { type LinkKind, links, type Sockets } from './links.ts'

const MEMORY_MIB = 192
const CARRIER_MS = 60_000
const TCP_PORT = 7001
const CONNECT_SECONDS = 2
const LATE_SECONDS = 5
const PAIR = 2

/** What a guest's kernel counted over a stretch of its time. */
export interface Counted {
  readonly seconds: number
  /** Bytes of IP packets that came in: headers of joined segments count once. */
  readonly bytes: number
}

export class GuestPair {
  readonly #guests: readonly QemuGuest[]
  readonly #directory: string

  private constructor(guests: readonly QemuGuest[], directory: string) {
    this.#guests = guests
    this.#directory = directory
  }

  /** Boots both, with all cards configured. */
  static async start(
    options: { cacheDirectory: string; directory: string; sockets: Sockets },
    components: BenchComponents,
    scope: Scope,
  ) {
    const { cacheDirectory, directory, sockets } = options
    const { progress } = components
    const program = await ensureNewQemu({ cacheDirectory }, { progress })
    const image: GuestImage = await ensureGuestImage({ cacheDirectory, kernel: 'full' }, { progress })
    const guests = Array.from(
      { length: PAIR },
      (_, n) =>
        new QemuGuest({
          name: `igbvf${n}`,
          image,
          runDirectory: directory,
          nics: [],
          accelerator: 'tcg',
          memoryMiB: MEMORY_MIB,
          program,
          extraArguments: links.flatMap((link) => link.arguments(sockets, n)),
        }),
    )
    scope.add(() => {
      for (const guest of guests) void guest.stop()
    })
    const pair = new GuestPair(guests, directory)
    for (const guest of guests) await guest.start() // the first listens for the second
    await Promise.all(guests.map((guest) => guest.ready()))
    await Promise.all(guests.map((guest, n) => pair.#configure(guest, n)))
    return pair
  }

  /** The processes of both. */
  get pids(): number[] {
    return this.#guests.map(({ name }) => Number.parseInt(readFileSync(join(this.#directory, `${name}.pid`), 'utf8'), 10))
  }

  async stop(): Promise<void> {
    await Promise.all(this.#guests.map((guest) => guest.stop()))
  }

  async #configure(guest: QemuGuest, n: number): Promise<void> {
    for (const link of links) {
      if (link.module !== null) await guest.check(`modprobe ${link.module}`)
      const card = `$(basename "$(dirname "$(grep -li ${link.macs[n]} /sys/class/net/*/address)")")`
      await guest.check(`card=${card}; ip address add ${link.network}.${n + 1}/24 dev $card && ip link set $card up`)
      await guest.check(
        `card=${card}; for i in $(seq 300); do [ "$(cat /sys/class/net/$card/carrier)" = 1 ] && exit 0; usleep 100000; done; exit 1`,
        { timeoutMs: CARRIER_MS },
      )
    }
  }

  /** Sends over one link of link for about `seconds`, `settle` seconds after the connection was made. `around` is called at both ends of the stretch. */
  async measure(
    link: LinkKind,
    { seconds, settle }: { seconds: number; settle: number },
    around: () => Promise<void>,
  ): Promise<Counted> {
    const [sender, receiver] = this.#guests as [QemuGuest, QemuGuest]
    const total = CONNECT_SECONDS + settle + seconds + LATE_SECONDS
    const sink = receiver.run(`timeout ${total} nc -l -p ${TCP_PORT} -e dd of=/dev/null bs=65536`, {
      timeoutMs: (total + LATE_SECONDS) * 1000,
    })
    const address = `${link.network}.2`
    await receiver.check(`for i in $(seq 50); do netstat -ltn | grep -q :${TCP_PORT} && exit 0; usleep 50000; done; exit 1`)
    const source = sender.run(`timeout ${total} nc ${address} ${TCP_PORT} -e dd if=/dev/zero bs=65536`, {
      timeoutMs: (total + LATE_SECONDS) * 1000,
    })
    const look = 'cut -d" " -f1 /proc/uptime; grep ^IpExt: /proc/net/netstat | tail -n 1 | cut -d" " -f8'
    try {
      await receiver.check(`usleep ${Math.round(settle * 1e6)}`)
      await around()
      const text = await receiver.check(`${look}; usleep ${Math.round(seconds * 1e6)}; ${look}`)
      await around()
      const [began, before, ended, after] = text.split('\n').map(Number) as [number, number, number, number]
      return { seconds: ended - began, bytes: after - before }
    } finally {
      await sender.run('killall dd')
      await Promise.all([source, sink])
    }
  }
}
