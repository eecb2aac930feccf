// What the lab needs of a switch that runs: where to plug guests in, and what passed through. The switch itself is started and
// stopped by whoever calls the lab.

/** What passed a port so far, as the switch sees it. */
export interface LabPortCounters {
  readonly port: string
  /** Frames that came from the guest. */
  readonly receivedFrames: number
  /** Frames that were delivered to the guest. */
  readonly sentFrames: number
  /** Frames dropped at this port, in either direction. */
  readonly droppedFrames: number
}

export interface SwitchDescription {
  readonly name: string
  /** Path of the control socket. */
  readonly controlSocket: string
  /** Paths of the files that capturing extensions write. */
  readonly captures: readonly string[]
}

export interface SwitchUnderLab {
  /** Path of the unix socket of a port. Throws if there is no such port, or it has none. */
  portSocket(port: string): string
  describe(): SwitchDescription
  counters(): readonly LabPortCounters[]
}
