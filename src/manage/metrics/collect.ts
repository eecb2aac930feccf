// The metrics of a running switch. Counters and histograms are read from shared memory while traffic flows.
//
// The rule it must not break: nothing is stopped for it, and of the processors only the state of extensions is asked.
import type { RunningSwitch } from '../../engine/host.ts'
import type { OverlayStatus } from '../overlay/overlay-calls.ts'
import type { StartedSwitch } from '../start-switch.ts'
import { type MetricsFormat, MetricsWriter } from './open-metrics.ts'
import { PortSeries, portMetrics } from './port-series.ts'

/** What is not the running switch's own. */
export interface MetricsContext {
  readonly version: string
  /** Of the store; null: there is none. */
  readonly revision: number | null
}

/** Latency buckets: from 2^8 to 2^31 nanoseconds; below and above are one bucket each. */
const FIRST_OCTAVE = 8
const LAST_OCTAVE = 30
const NS_PER_SECOND = 1e9

const flag = (value: boolean): number => (value ? 1 : 0)

/** The metrics of a switch as text; null: none runs. */
export async function collectMetrics(
  started: Pick<StartedSwitch, 'running' | 'host'> | null,
  { version, revision }: MetricsContext,
  format: MetricsFormat = 'openmetrics',
): Promise<string> {
  const running = started?.running
  const writer = new MetricsWriter()
  const { name = '', type = '' } = running?.config ?? {}
  writer.sample('vmswitch_build', [version, name, type], 1)
  writer.sample('vmswitch_resident_memory_bytes', [], process.memoryUsage.rss())
  if (revision !== null) writer.sample('vmswitch_state_revision', [], revision)
  if (started === null || running === undefined) return writer.text(format)
  writer.sample('vmswitch_uptime_seconds', [], running.uptimeMs / 1000)
  writer.sample('vmswitch_guest_memory_available_bytes', [], running.memory().guestBytesAvailable)
  const { used, capacity } = running.fdbStatistics()
  writer.sample('vmswitch_mac_table_entries', [], used)
  writer.sample('vmswitch_mac_table_capacity', [], capacity)
  collectTeam(writer, running)
  collectGroups(writer, running)
  collectConnections(writer, running)
  collectAcls(writer, running)
  collectPorts(writer, running)
  collectProcessors(writer, running)
  collectAdapters(writer, running)
  for (const { adapter, queue, port, counters } of await started.host.queues()) {
    const labels = [adapter, String(queue), port ?? '']
    writer.sample('vmswitch_queue_received_frames', labels, counters.receivedFrames)
    writer.sample('vmswitch_queue_dropped_frames', labels, counters.dropped)
  }
  collectOverlay(writer, await started.host.overlay())
  await collectExtensions(writer, running)
  return writer.text(format)
}

function collectTeam(writer: MetricsWriter, running: RunningSwitch): void {
  for (const { name, active, counters } of running.effects.team.status()?.members ?? []) {
    writer.sample('vmswitch_team_member_active', [name], active ? 1 : 0)
    writer.sample('vmswitch_team_member_sent_frames', [name], counters.sentFrames)
    writer.sample('vmswitch_team_member_received_frames', [name], counters.receivedFrames)
    writer.sample('vmswitch_team_member_refused_frames', [name], counters.duplicates + counters.reflections)
  }
}

function collectGroups(writer: MetricsWriter, running: RunningSwitch): void {
  const { settings, table, ports, counters } = running.effects.snooping.status()
  if (settings === null) return
  writer.sample('vmswitch_multicast_groups', [], table.used)
  writer.sample('vmswitch_multicast_groups_capacity', [], table.capacity)
  for (const { port, groups, refused } of ports) {
    writer.sample('vmswitch_multicast_port_groups', [port], groups)
    writer.sample('vmswitch_multicast_refused_joins', [port], refused)
  }
  for (const [kind, value] of Object.entries(counters)) writer.sample('vmswitch_multicast_messages', [kind], value)
}

function collectOverlay(writer: MetricsWriter, overlay: OverlayStatus | null): void {
  if (overlay === null) return
  writer.sample('vmswitch_overlay_records', [], overlay.records)
  writer.sample('vmswitch_overlay_unplaced_guests', [], overlay.unplaced)
  for (const { provider, counters } of overlay.tunnels) {
    writer.sample('vmswitch_overlay_sent_frames', [provider], counters.sentFrames)
    writer.sample('vmswitch_overlay_sent_bytes', [provider], counters.sentBytes)
    writer.sample('vmswitch_overlay_received_frames', [provider], counters.receivedFrames)
    writer.sample('vmswitch_overlay_received_bytes', [provider], counters.receivedBytes)
  }
  for (const { reason, frames } of overlay.drops) writer.sample('vmswitch_overlay_dropped_frames', [reason], frames)
}

function collectConnections(writer: MetricsWriter, running: RunningSwitch): void {
  const { used, capacity, opened, evicted, refusedByShare, full, expired } = running.policies.connections.figures()
  writer.sample('vmswitch_connections', [], used)
  writer.sample('vmswitch_connections_capacity', [], capacity)
  writer.sample('vmswitch_connections_opened', [], opened)
  writer.sample('vmswitch_connections_evicted', [], evicted)
  writer.sample('vmswitch_connections_refused', ['share'], refusedByShare)
  writer.sample('vmswitch_connections_refused', ['table'], full)
  writer.sample('vmswitch_connections_expired', [], expired)
}

function collectAcls(writer: MetricsWriter, running: RunningSwitch): void {
  const { linear, own } = running.policies.acls.figures()
  writer.sample('vmswitch_acl_bytes', ['linear'], linear)
  writer.sample('vmswitch_acl_bytes', ['own'], own)
}

const portFigures = portMetrics(
  'vmswitch_port_connected',
  'vmswitch_port_link_up',
  'vmswitch_port_paced_bytes',
  'vmswitch_port_bandwidth_wait_seconds',
  'vmswitch_port_uplink_bytes',
  // As portCounterNames has them.
  'vmswitch_port_received_frames',
  'vmswitch_port_received_bytes',
  'vmswitch_port_sent_frames',
  'vmswitch_port_sent_bytes',
  'vmswitch_port_received_dropped_frames',
  'vmswitch_port_send_dropped_frames',
  'vmswitch_port_received_multicast_frames',
  'vmswitch_port_flooded_frames',
)
const FIRST_COUNTER = 5
/** Of each switch, the text of its ports from the scrape before. */
const seriesOf = new WeakMap<RunningSwitch, PortSeries>()

function collectPorts(writer: MetricsWriter, running: RunningSwitch): void {
  const series = seriesOf.get(running) ?? new PortSeries(portFigures)
  seriesOf.set(running, series)
  series.begin()
  running.measurePorts(({ name, connected, linkUp, pacedBytes, waitedSeconds, uplinkBytes, counters }) => {
    series.port(name)
    series.set(0, flag(connected))
    series.set(1, flag(linkUp))
    series.set(2, pacedBytes)
    series.set(3, waitedSeconds)
    series.set(4, uplinkBytes)
    for (let i = 0; i < counters.length; i++) series.set(FIRST_COUNTER + i, counters[i]!)
  })
  series.end(writer)
  for (const { port, reasons } of running.drops())
    for (const [reason, frames] of Object.entries(reasons)) writer.sample('vmswitch_dropped_frames', [port, reason], frames)
}

function collectProcessors(writer: MetricsWriter, running: RunningSwitch): void {
  const bounds = Array.from({ length: LAST_OCTAVE - FIRST_OCTAVE + 1 }, (_, i) => 2 ** (FIRST_OCTAVE + i) / NS_PER_SECOND)
  for (const { index, counters, latencyCounts } of running.processors()) {
    const labels = [String(index)]
    writer.sample('vmswitch_processor_frames', labels, counters.frames ?? 0)
    writer.sample('vmswitch_processor_bursts', labels, counters.bursts ?? 0)
    writer.sample('vmswitch_processor_sleeps', labels, counters.sleeps ?? 0)
    writer.sample('vmswitch_processor_busy_seconds', labels, (counters.busyNs ?? 0) / NS_PER_SECOND)
    writer.sample('vmswitch_processor_interruptions', labels, counters.interruptions ?? 0)
    const counts = new Array<number>(bounds.length + 1).fill(0)
    let sumNs = 0
    for (const [octave, count] of latencyCounts.entries()) {
      const at = Math.min(bounds.length, Math.max(0, octave - FIRST_OCTAVE + 1))
      counts[at] = counts[at]! + count
      sumNs += count * 1.5 * 2 ** octave
    }
    writer.histogram('vmswitch_burst_latency_seconds', labels, bounds, counts, sumNs / NS_PER_SECOND)
  }
}

function collectAdapters(writer: MetricsWriter, running: RunningSwitch): void {
  for (const { name, link, state, vfs, vports, assigned } of running.adapters.list()) {
    writer.sample('vmswitch_adapter_link_up', [name], flag(link === 'up'))
    writer.sample('vmswitch_adapter_running', [name], flag(state === 'running'))
    writer.sample('vmswitch_adapter_vfs', [name], vfs.total)
    writer.sample('vmswitch_adapter_vfs_allocated', [name], vfs.allocated)
    for (const { id, function: of, counters, drops } of vports) {
      const labels = [name, String(id), String(of)]
      writer.sample('vmswitch_vport_received_frames', labels, counters.receivedFrames)
      writer.sample('vmswitch_vport_sent_frames', labels, counters.sentFrames)
      for (const [reason, frames] of Object.entries(drops))
        writer.sample('vmswitch_vport_dropped_frames', [...labels, reason], frames)
    }
    for (const { port, vf, state: of, switchovers } of assigned) {
      writer.sample('vmswitch_vf_active', [port, name, String(vf)], flag(of === 'active'))
      writer.sample('vmswitch_vf_switchovers', [port, name, String(vf)], switchovers)
    }
  }
}

async function collectExtensions(writer: MetricsWriter, running: RunningSwitch): Promise<void> {
  for (const one of await running.extensions()) {
    writer.sample('vmswitch_extension_up', [one.name, one.class], flag(one.enabled && one.state === 'running'))
    writer.sample('vmswitch_extension_faults', [one.name], one.faults)
    writer.sample('vmswitch_extension_breaches', [one.name], one.breaches)
    writer.sample('vmswitch_extension_packet_seconds', [one.name], one.nsPerPacket / NS_PER_SECOND)
    for (const [counter, value] of Object.entries(one.counters))
      writer.sample('vmswitch_extension_events', [one.name, counter], value)
  }
}
