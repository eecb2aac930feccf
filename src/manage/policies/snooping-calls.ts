// The part of SwitchHost that is about multicast groups. Types only; host.ts has the rest.
import type { SnoopingConfig, SnoopingStatus } from '../../engine/snooping/snooping-config.ts'

export type { MdbEntry, MdbQuerier, MdbRouter, SnoopingConfig, SnoopingStatus } from '../../engine/snooping/snooping-config.ts'

type Answer<T> = T | Promise<T>

export interface SnoopingCalls {
  /** Groups with the ports that joined, router ports, queriers, counters. */
  mdb(): Answer<SnoopingStatus>
  /** Switches snooping of IGMP and MLD on, or to other settings; null: off. */
  setSnooping(settings: SnoopingConfig | null): Answer<SnoopingStatus>
}
