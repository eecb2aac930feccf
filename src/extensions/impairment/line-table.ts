// The lines of one processor: for each port and direction those that a packet is held against, the port's own property first, then the
// rules of the options.
//
// The rule it must not break: a line that stays keeps its state, whatever changes around it.
import type { SwitchHandle } from '../../extension.ts'
import { Line } from './line.ts'
import type { ImpairmentOptions, LinePlan } from './options.ts'
import { RULES_MAX } from './options.ts'
import { hashOf } from './random.ts'
import type { SharedRates } from './shared-rates.ts'

const PORT_IDS = 65_536
const NO_LINES: readonly Line[] = []

interface KnownPort {
  readonly name: string
  readonly property: readonly LinePlan[]
  readonly lines: readonly Line[]
}

/** Fields are ordinary ones: they are read per packet. */
export class LineTable {
  private readonly sw: SwitchHandle
  private readonly options: ImpairmentOptions
  private readonly rates: SharedRates
  private readonly ended: (line: Line) => void
  private readonly seed: number
  private readonly ports = new Map<number, KnownPort>()
  /** By port id: its lines, or undefined. */
  readonly ingress: (readonly Line[] | undefined)[] = []
  readonly egress: (readonly Line[] | undefined)[] = []
  /** Lines in all, by direction. */
  ingressCount = 0
  egressCount = 0

  /** `ended` is told of each line that is no more. */
  constructor(sw: SwitchHandle, options: ImpairmentOptions, rates: SharedRates, ended: (line: Line) => void) {
    this.sw = sw
    this.options = options
    this.rates = rates
    this.ended = ended
    this.seed = options.seed ?? Math.floor(Math.random() * 0x100000000)
  }

  /** Port `portId` is there, under `name`. */
  add(portId: number, name: string): void {
    const known = this.ports.get(portId)
    if (known?.name === name || portId <= 0 || portId >= PORT_IDS) return
    if (known) this.remove(portId)
    this.rebuild(portId, { name, property: [], lines: [] })
  }

  remove(portId: number): void {
    const known = this.ports.get(portId)
    if (!known) return
    this.ports.delete(portId)
    this.show(portId, [])
    for (const line of known.lines) this.ended(line)
  }

  /** The value of the port's property is `plans`; none: it is deleted. */
  setProperty(portId: number, plans: readonly LinePlan[]): void {
    const known = this.ports.get(portId)
    if (known) this.rebuild(portId, { ...known, property: plans })
  }

  private rebuild(portId: number, port: KnownPort): void {
    const { rules } = this.options
    const lines: Line[] = []
    const nowMs = this.sw.now()
    const take = (rule: number, plan: LinePlan): void => {
      const same = port.lines.find((line) => line.rule === rule && line.plan.direction === plan.direction)
      if (same && same.plan !== plan) same.change(plan, nowMs)
      const seed = hashOf(this.seed, `${port.name} ${rule} ${this.sw.processor}`)
      lines.push(same ?? new Line({ portId, rule, seed }, plan, this.rates, nowMs))
    }
    for (const [i, plan] of port.property.entries()) take(RULES_MAX + i, plan)
    for (const [i, rule] of rules.entries()) if (rule.ports === undefined || rule.ports.includes(port.name)) take(i, rule)
    this.ports.set(portId, { ...port, lines })
    this.show(portId, lines)
    for (const line of port.lines) if (!lines.includes(line)) this.ended(line)
  }

  private show(portId: number, lines: readonly Line[]): void {
    const ingress = lines.filter(({ plan }) => plan.direction === 'ingress')
    const egress = lines.filter(({ plan }) => plan.direction === 'egress')
    this.ingressCount += ingress.length - (this.ingress[portId] ?? NO_LINES).length
    this.egressCount += egress.length - (this.egress[portId] ?? NO_LINES).length
    this.ingress[portId] = ingress.length === 0 ? undefined : ingress
    this.egress[portId] = egress.length === 0 ? undefined : egress
  }
}
