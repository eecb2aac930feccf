// Breaches of the contract as the checking mode reports them: by rule, module, and packet or OID, as Driver Verifier does.
//
// The rule it must not break: a breach that happens with every packet is counted and told at 1, 10, 100 …, so that the report of it
// never becomes the trouble.

/** Something that a module did and must not do, or did not do and must. */
export interface Breach {
  /** Name of the module. */
  readonly module: string
  /** Number of the rule: ES-nnn. */
  readonly rule: string
  /** Violation code of Driver Verifier's VM switch option, A001…A00E; '' where it has none. */
  readonly code: string
  /** What was wrong, for a person. */
  readonly what: string
  /** Entry point in which it was noticed: 'ingress', 'oid', 'timer' …; '' outside of any. */
  readonly where: string
  /** Running number of the packet of the first time; 0 = none. */
  readonly packet: number
  /** Header name of the OID of the first time; '' = none. */
  readonly oid: string
  /** How often. */
  readonly count: number
}

/** One breach as it is told. */
export type BreachEvent = Omit<Breach, 'count' | 'code'>

/** Driver Verifier's codes for the rules that it checks too (spec section 6). */
const codes: Readonly<Record<string, string>> = {
  'ES-377': 'A001',
  'ES-408': 'A002',
  'ES-443': 'A003',
  'ES-219': 'A004',
  'ES-322': 'A005',
  'ES-324': 'A005',
  'ES-320': 'A005',
  'ES-441': 'A005',
  'ES-429': 'A006',
  'ES-440': 'A006',
  'ES-421': 'A007',
  'ES-177': 'A008',
  'ES-200': 'A008',
  'ES-442': 'A008',
  'ES-131': 'A009',
  'ES-437': 'A00A',
  'ES-444': 'A00B',
  'ES-448': 'A00C',
  'ES-453': 'A00D',
  'ES-566': 'A00E',
}

/** Different breaches that are kept; more are counted as one. */
const BREACHES_MAX = 1000

const isRound = (count: number): boolean => 10 ** Math.round(Math.log10(count)) === count

/** Gathers breaches. */
export class BreachLog {
  readonly #tell: (breach: Breach) => void
  readonly #breaches = new Map<string, Breach>()
  /** Breaches in all, repeated ones included. */
  total = 0

  /** `tell` gets a breach the first, tenth, hundredth … time. */
  constructor(tell: (breach: Breach) => void = () => {}) {
    this.#tell = tell
  }

  report(event: BreachEvent): void {
    this.total++
    const key =
      this.#breaches.size < BREACHES_MAX ? `${event.module}\n${event.rule}\n${event.what}\n${event.where}` : `${event.module}\n…`
    const known = this.#breaches.get(key)
    const breach = known ? { ...known, count: known.count + 1 } : { ...event, code: codes[event.rule] ?? '', count: 1 }
    this.#breaches.set(key, breach)
    if (isRound(breach.count)) this.#tell(breach)
  }

  /** All of them, in the order in which they were first seen. */
  list(): readonly Breach[] {
    return [...this.#breaches.values()]
  }
}

/** One line about a breach, without the module's name. */
export function describeBreach({ rule, code, what, where, packet, oid, count }: Breach): string {
  const details = [
    where === '' ? '' : `in ${where}`,
    packet === 0 ? '' : `packet ${packet}`,
    oid,
    count === 1 ? '' : `${count} times`,
  ].filter((detail) => detail !== '')
  return `${rule}${code === '' ? '' : ` (${code})`}: ${what}${details.length === 0 ? '' : ` [${details.join(', ')}]`}`
}
