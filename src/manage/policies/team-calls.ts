// The part of SwitchHost that is about the team of uplinks. Types only; host.ts has the rest.
import type { TeamStatus } from '../../engine/team/switch-team.ts'

export type { TeamMemberStatus, TeamStatus } from '../../engine/team/switch-team.ts'

type Answer<T> = T | Promise<T>

export interface TeamCalls {
  /** The team of the external port; null: it has one physical adapter, or there is none. */
  team(): Answer<TeamStatus | null>
}
