// What the lab needs of a switch that runs: where to plug guests in, and what passed through. The switch itself is started and
// stopped by whoever calls the lab.
import { resolve } from 'node:path'
import type { RunningSwitch } from '../engine/host.ts'
import type { ResolvedConfig } from '../manage/config/types.ts'
import { LabError } from './errors.ts'

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

/** Paths of the captures that a configuration's capture extensions write. */
function capturesOf(config: ResolvedConfig): string[] {
  return config.switch.extensions
    .filter((extension) => extension.use === 'capture' && extension.enabled)
    .map(({ options }) => (typeof options.file === 'string' ? options.file : 'capture.pcapng'))
    .filter((file) => file !== '-')
    .map((file) => resolve(config.runtime.directory, file))
}

/** A running switch of this process as the lab needs it. `config` is what it was created from. */
export function switchUnderLab(running: RunningSwitch, config: ResolvedConfig): SwitchUnderLab {
  return {
    portSocket(name) {
      const port = running.ports().find((candidate) => candidate.name === name)
      if (port === undefined) throw new LabError('link-failed', `switch ${config.switch.name} has no port "${name}"`)
      if (!('path' in port.endpoint))
        throw new LabError('link-failed', `port ${name}: an endpoint of kind "${port.endpoint.kind}" has no socket to connect to`)
      return port.endpoint.path
    },
    describe: () => ({ name: config.switch.name, controlSocket: config.runtime.control, captures: capturesOf(config) }),
    counters: () =>
      running.ports().map(({ name, counters }) => ({
        port: name,
        receivedFrames: counters.receivedFrames,
        sentFrames: counters.sentFrames,
        droppedFrames: counters.receivedDropped + counters.sendDropped,
      })),
  }
}
