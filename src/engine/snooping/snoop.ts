// Snooping of IGMP and MLD as a processor is told of it.
import type { PacketPool } from '../../ndis/pool.ts'
import type { DataPath } from '../../switch/data-path.ts'
import { Snooping, type SnoopingPlan } from '../../switch/snooping/snooping.ts'

/** What of a processor it works with. */
export interface SnoopingProcessor {
  readonly dataPath: DataPath
  readonly pool: PacketPool
}

/** Snoops by `plan` from the next burst on; undefined: no more. */
export function snoop({ dataPath, pool }: SnoopingProcessor, plan: SnoopingPlan | undefined): void {
  const { forwarding, ports } = dataPath
  const copy = dataPath.copyBytes.bind(dataPath)
  forwarding.snooping = plan === undefined ? undefined : new Snooping(plan, { pool, ports, copy })
}
