// What a service offers beyond a switch: its configuration as a whole. Types only.
//
// The rule it must not break: everything here survives JSON.
import type { Change } from '../apply/plan.ts'
import type { ClusterCalls } from '../cluster/cluster-calls.ts'
import type { ResolvedConfig } from '../config/types.ts'

export interface ApplyRequest {
  /** A configuration as it is written: the data of the file. */
  readonly config: unknown
  /** Absolute path of its file, beside which relative paths start. */
  readonly file: string
  /** Tell what would change, and change nothing. */
  readonly dryRun?: boolean | undefined
  /** Allow what needs the whole switch to start anew: its guests lose their connections for a moment. */
  readonly restart?: boolean | undefined
}

export interface ApplyReport {
  readonly changes: readonly Change[]
  /** Whether the whole switch started anew, or would. */
  readonly restart: boolean
  /** False: it was a dry run, or nothing differed. */
  readonly applied: boolean
  /** Counts the changes that were ever stored. */
  readonly revision: number
}

export interface ServiceStatus {
  readonly stateDirectory: string
  readonly revision: number
  readonly schemaVersion: number
  /** Name of the switch; null: nothing has been applied yet. */
  readonly switch: string | null
  readonly control: string
  /** HOST:PORT of the TCP listener; null without one. */
  readonly listen: string | null
}

export interface ServiceCalls {
  /** The network of hosts that it is in, or can join. */
  readonly cluster?: ClusterCalls | undefined
  service(): Promise<ServiceStatus>
  /** The configuration that is stored: absolute paths, all defaults filled in. Null: none. */
  configuration(): Promise<ResolvedConfig | null>
  /**
   * Makes the switch what the configuration says: all of it, or nothing. Throws `bad-request` (the configuration can't be used),
   * `needs-restart`, `not-stored`, or the code of the step that failed.
   */
  apply(request: ApplyRequest): Promise<ApplyReport>
  /**
   * Stops the switch and forgets its configuration: the service is as empty as at first. Throws `no-switch`, `not-stored`; then the
   * switch goes on.
   */
  removeSwitch(): Promise<{ readonly revision: number }>
}
