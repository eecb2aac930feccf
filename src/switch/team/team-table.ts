// What all processors know of the team of physical adapters below the external port, in shared memory: written by the control thread when
// a member's link or the settings change, read by every processor; and what each member carried, counted per processor. It is a part of the
// port table, whose generation tells processors of a change.
//
// The rule it must not break: a processor writes its own counters only.

/** NIC indices of members are 1…TEAM_MEMBERS_MAX. */
export const TEAM_MEMBERS_MAX = 32
const PROCESSORS_MAX = 16

/** LoadBalancingAlgorithm, as Set-VMSwitchTeam has it. */
export const LoadBalancing = { hyperVPort: 0, dynamic: 1 } as const

/** What is counted of a member. */
export const TeamCounter = { sentFrames: 0, sentBytes: 1, receivedFrames: 2, duplicates: 3, reflections: 4 } as const
const COUNTERS = 5

const W_PORT = 0
const W_MODE = 1
const W_MEMBERS = 2
const W_STANDBY = 3
const W_UP = 4
const W_MACS = 6
const W_SPEEDS = W_MACS + (TEAM_MEMBERS_MAX + 1) * 2
const HEADER_WORDS = W_SPEEDS + TEAM_MEMBERS_MAX + 1
const COUNTER_WORDS = PROCESSORS_MAX * (TEAM_MEMBERS_MAX + 1) * COUNTERS * 2

/** Words to reserve, with one to spare for alignment. */
export const TEAM_TABLE_WORDS = HEADER_WORDS + COUNTER_WORDS + 1

/** The bit of a member. */
export const memberBit = (nicIndex: number): number => 1 << (nicIndex - 1)

/** Settings of a team; members and standby ones by NIC index. */
export interface TeamSettings {
  readonly port: number
  readonly loadBalancing: number
  readonly members: readonly number[]
  readonly standby: readonly number[]
}

const bitsOf = (members: readonly number[]): number => members.reduce((bits, nicIndex) => bits | memberBit(nicIndex), 0)

export class TeamTable {
  private readonly words: Int32Array
  private readonly at: number
  private readonly counters: Float64Array

  constructor(words: Int32Array, at: number) {
    this.words = words
    this.at = at
    const bytes = words.byteOffset + (at + HEADER_WORDS) * 4
    this.counters = new Float64Array(words.buffer, (bytes + 7) & ~7, COUNTER_WORDS / 2)
  }

  /** Control thread only; whoever calls announces it. Undefined: there is no team. Its members' links begin down. */
  set(settings: TeamSettings | undefined): void {
    const { words, at } = this
    if (settings?.port !== words[at + W_PORT]) {
      words.fill(0, at, at + HEADER_WORDS)
      this.counters.fill(0)
    }
    if (settings === undefined) return
    words[at + W_MODE] = settings.loadBalancing
    words[at + W_STANDBY] = bitsOf(settings.standby)
    words[at + W_MEMBERS] = bitsOf(settings.members)
    words[at + W_PORT] = settings.port
  }

  /**
   * A member's link, the address of its interface as MacKey words (0: not known), and its speed in Mbit/s (0: not known). Control thread only;
   * whoever calls announces it.
   */
  setLink(nicIndex: number, up: boolean, low: number, high: number, megabits = 0): void {
    const { words, at } = this
    words[at + W_SPEEDS + nicIndex] = megabits
    words[at + W_MACS + nicIndex * 2] = low
    words[at + W_MACS + nicIndex * 2 + 1] = high
    const bits = words[at + W_UP]!
    Atomics.store(words, at + W_UP, up ? bits | memberBit(nicIndex) : bits & ~memberBit(nicIndex))
  }

  /** The external port, 0 = there is no team. */
  get port(): number {
    return this.words[this.at + W_PORT]!
  }

  get loadBalancing(): number {
    return this.words[this.at + W_MODE]!
  }

  get members(): number {
    return this.words[this.at + W_MEMBERS]!
  }

  get standby(): number {
    return this.words[this.at + W_STANDBY]!
  }

  get up(): number {
    return Atomics.load(this.words, this.at + W_UP)
  }

  macLow(nicIndex: number): number {
    return this.words[this.at + W_MACS + nicIndex * 2]!
  }

  macHigh(nicIndex: number): number {
    return this.words[this.at + W_MACS + nicIndex * 2 + 1]!
  }

  /** Mbit/s of a member's link, 0 = not known. */
  megabits(nicIndex: number): number {
    return this.words[this.at + W_SPEEDS + nicIndex]!
  }

  /** Adds to a counter of a member, on `processor` (-1: nowhere). */
  count(processor: number, nicIndex: number, counter: number, by: number): void {
    if (processor < 0) return
    const at = (processor * (TEAM_MEMBERS_MAX + 1) + nicIndex) * COUNTERS + counter
    this.counters[at] = this.counters[at]! + by
  }

  /** Sum of a member's counter over all processors. */
  counted(nicIndex: number, counter: number): number {
    let sum = 0
    for (let processor = 0; processor < PROCESSORS_MAX; processor++)
      sum += this.counters[(processor * (TEAM_MEMBERS_MAX + 1) + nicIndex) * COUNTERS + counter]!
    return sum
  }
}
