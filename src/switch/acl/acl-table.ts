// The ACLs of all ports as one processor has them. The control thread sends it plans; it takes them over between two bursts.
import { ConnectionTable, receivedMemory } from '../conntrack/connection-table.ts'
import { type AclPlan, COUNTERS_OF_ROW, withPrograms } from './acl-plan.ts'
import { FragmentVerdicts } from './fragment-verdicts.ts'
import { type ProgramKernel, received } from './program.ts'

/** Fields are ordinary ones: they are read per packet. */
export class AclTable {
  /** By port. */
  readonly plans: (AclPlan | undefined)[]
  /** The counters of each plan, of all processors. */
  readonly counters: (Float64Array | undefined)[]
  /** Index of this processor: whose counters are written. */
  readonly processor: number
  /** Connections of the ports with stateful rules, once there was one. */
  connections: ConnectionTable | undefined
  /** What bursts are looked up with; undefined: in TypeScript. */
  readonly kernel: ProgramKernel | undefined
  /** What first fragments met. */
  readonly fragments: FragmentVerdicts
  /** True if packets are judged and leave no trace. */
  readonly dry: boolean
  /** Changes whenever a plan does. */
  generation = 0

  /** `dry`: packets are judged, and connections and `fragments`, which are another table's, stay as they are. */
  constructor(
    ports: number,
    processor: number,
    {
      dry = false,
      kernel,
      fragments = new FragmentVerdicts(ports),
    }: { dry?: boolean; kernel?: ProgramKernel; fragments?: FragmentVerdicts } = {},
  ) {
    this.dry = dry
    this.kernel = kernel
    this.plans = new Array<AclPlan | undefined>(ports).fill(undefined)
    this.counters = new Array<Float64Array | undefined>(ports).fill(undefined)
    this.processor = processor
    this.fragments = fragments
  }

  /** Takes over a plan that another thread sent. */
  receive(port: number, plan: AclPlan | undefined): void {
    const buffer = this.kernel?.buffer
    if (plan === undefined || buffer === undefined) {
      this.set(port, plan)
      return
    }
    const connections = plan.connections && receivedMemory(plan.connections, buffer)
    this.set(port, { ...withPrograms(plan, (program) => received(program, buffer)), connections })
  }

  /** Puts a port's plan in the place of the one before; undefined: it has none any more. */
  set(port: number, plan: AclPlan | undefined): void {
    this.plans[port] = plan
    this.counters[port] = plan === undefined ? undefined : new Float64Array(plan.counters)
    if (plan?.connections !== undefined)
      this.connections ??= new ConnectionTable(plan.connections.buffer, plan.connections.at, plan.connections, this.dry)
    if (!this.dry)
      this.fragments.reset(port, plan?.inbound?.extended?.ported === true || plan?.outbound?.extended?.ported === true)
    this.generation++
  }

  /** The same plans with counters of their own: packets are judged as by this table, and leave no trace. */
  shadow(): AclTable {
    const copy = new AclTable(this.plans.length, 0, { dry: true, fragments: this.fragments })
    for (const [port, plan] of this.plans.entries())
      if (plan !== undefined) copy.set(port, { ...plan, counters: new SharedArrayBuffer(plan.rows * COUNTERS_OF_ROW * 8) })
    return copy
  }
}
