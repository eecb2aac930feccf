// Every metric that /metrics has: its name, type, help and labels. Dashboards and alert rules are checked against this table.
//
// The rule it must not break: what is exported is declared here, and a name that was released keeps its meaning.

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram' | 'info'
  readonly help: string
  readonly labels: readonly string[]
  /** The unit that the name ends in. */
  readonly unit?: 'seconds' | 'bytes'
}

const counter = (help: string, ...labels: string[]): MetricDefinition => ({ type: 'counter', help, labels })
const gauge = (help: string, ...labels: string[]): MetricDefinition => ({ type: 'gauge', help, labels })

export const metrics = {
  vmswitch_build: { type: 'info', help: 'The switch and the version that runs it.', labels: ['version', 'switch', 'type'] },
  vmswitch_uptime_seconds: { ...gauge('Time since the switch started.'), unit: 'seconds' },
  vmswitch_state_revision: gauge('Changes that the service has ever stored.'),
  vmswitch_resident_memory_bytes: { ...gauge('Resident memory of the process.'), unit: 'bytes' },
  vmswitch_guest_memory_available_bytes: { ...gauge('Guest memory that the wasm engine can still serve.'), unit: 'bytes' },
  vmswitch_mac_table_entries: gauge('Addresses that the MAC table holds.'),
  vmswitch_mac_table_capacity: gauge('Addresses that the MAC table can hold.'),
  vmswitch_team_member_active: gauge('1 while a member of the team of uplinks carries traffic.', 'member'),
  vmswitch_team_member_sent_frames: counter('Frames that left by a member of the team.', 'member'),
  vmswitch_team_member_received_frames: counter('Frames that came in by a member of the team.', 'member'),
  vmswitch_team_member_refused_frames: counter('Frames that came twice or back by a member of the team.', 'member'),
  vmswitch_multicast_groups: gauge('Places that groups, and VLANs with routers, take in the table.'),
  vmswitch_multicast_groups_capacity: gauge('Groups that the table can hold.'),
  vmswitch_multicast_port_groups: gauge('Groups that the port joined.', 'port'),
  vmswitch_multicast_refused_joins: counter('Joins of the port that were refused.', 'port'),
  vmswitch_multicast_messages: counter('Messages of IGMP, MLD and PIM, and what became of memberships.', 'kind'),
  vmswitch_connections: gauge('Connections that stateful rules follow.'),
  vmswitch_connections_capacity: gauge('Connections that can be followed.'),
  vmswitch_connections_opened: counter('Connections that stateful rules let through.'),
  vmswitch_connections_evicted: counter('Connections that made room for others of their port before they were answered.'),
  vmswitch_connections_refused: counter('Connections without room, by the limit that was reached.', 'limit'),
  vmswitch_connections_expired: counter('Connections that were idle for too long.'),
  vmswitch_acl_bytes: {
    ...gauge('Memory of the compiled ACLs of all ports: linear, where wasm looks rules up, or their own.', 'memory'),
    unit: 'bytes',
  },
  vmswitch_port_connected: gauge('1: the peer of the port is there and ready.', 'port'),
  vmswitch_port_link_up: gauge('1: the link of the port is to be up.', 'port'),
  vmswitch_port_received_frames: counter('Frames from the NIC behind the port.', 'port'),
  vmswitch_port_received_bytes: { ...counter('Bytes from the NIC behind the port.', 'port'), unit: 'bytes' },
  vmswitch_port_sent_frames: counter('Frames delivered to the NIC behind the port.', 'port'),
  vmswitch_port_sent_bytes: { ...counter('Bytes delivered to the NIC behind the port.', 'port'), unit: 'bytes' },
  vmswitch_port_received_dropped_frames: counter('Frames from the port that were dropped.', 'port'),
  vmswitch_port_send_dropped_frames: counter('Frames on their way to the port that were dropped.', 'port'),
  vmswitch_port_received_multicast_frames: counter('Multicast and broadcast frames from the port.', 'port'),
  vmswitch_port_flooded_frames: counter('Frames from the port that went to all ports.', 'port'),
  vmswitch_port_paced_bytes: { ...counter('Bytes taken from the port against its maximum bandwidth.', 'port'), unit: 'bytes' },
  vmswitch_port_bandwidth_wait_seconds: {
    ...counter('Time that rings of the port waited for bandwidth, summed over them.', 'port'),
    unit: 'seconds',
  },
  vmswitch_port_uplink_bytes: {
    ...counter('Bytes that the port sent to the uplink against its share of it.', 'port'),
    unit: 'bytes',
  },
  vmswitch_dropped_frames: counter('Frames dropped, by port and reason.', 'port', 'reason'),
  vmswitch_extension_up: gauge('1: the extension is enabled and runs.', 'extension', 'class'),
  vmswitch_extension_faults: counter('Times that the extension threw.', 'extension'),
  vmswitch_extension_breaches: counter('Breaches of the contract by the extension.', 'extension'),
  vmswitch_extension_packet_seconds: {
    ...gauge('Sampled time that the extension takes for a packet.', 'extension'),
    unit: 'seconds',
  },
  vmswitch_extension_events: counter("The extension's own counters.", 'extension', 'counter'),
  vmswitch_processor_frames: counter('Frames that the processor moved.', 'processor'),
  vmswitch_processor_bursts: counter('Bursts that the processor moved.', 'processor'),
  vmswitch_processor_sleeps: counter('Times that the processor went to sleep.', 'processor'),
  vmswitch_processor_busy_seconds: { ...counter('Time that the processor worked.', 'processor'), unit: 'seconds' },
  vmswitch_processor_interruptions: counter(
    'Times that an extension was interrupted on the processor since it did not return.',
    'processor',
  ),
  vmswitch_burst_latency_seconds: {
    type: 'histogram',
    help: 'Time that bursts spent in the switch; the sum is estimated from the buckets.',
    labels: ['processor'],
    unit: 'seconds',
  },
  vmswitch_adapter_link_up: gauge("1: the link of the adapter's physical port is up.", 'adapter'),
  vmswitch_adapter_running: gauge('1: the adapter runs; 0: it was pulled.', 'adapter'),
  vmswitch_adapter_vfs: gauge('Virtual functions of the adapter.', 'adapter'),
  vmswitch_adapter_vfs_allocated: gauge('Virtual functions that virtual machines have.', 'adapter'),
  vmswitch_vport_received_frames: counter('Frames from the function of the VPort.', 'adapter', 'vport', 'function'),
  vmswitch_vport_sent_frames: counter('Frames delivered to the function of the VPort.', 'adapter', 'vport', 'function'),
  vmswitch_vport_dropped_frames: counter('Frames dropped at the VPort, by reason.', 'adapter', 'vport', 'function', 'reason'),
  vmswitch_vf_active: gauge('1: the traffic of the port goes through its virtual function.', 'port', 'adapter', 'vf'),
  vmswitch_vf_switchovers: counter('Times that traffic went to the virtual function and back.', 'port', 'adapter', 'vf'),
  vmswitch_queue_received_frames: counter('Frames that came for the receive queue.', 'adapter', 'queue', 'port'),
  vmswitch_queue_dropped_frames: counter('Frames that the receive queue had no room for.', 'adapter', 'queue', 'port'),
  vmswitch_overlay_records: gauge('Look-up records: guests whose host is known.'),
  vmswitch_overlay_unplaced_guests: gauge('Guests without room in the table of addresses: frames to them are flooded.'),
  vmswitch_overlay_sent_frames: counter('Frames of guests sent to another host through the tunnel.', 'provider'),
  vmswitch_overlay_sent_bytes: {
    ...counter('Bytes of guests sent to another host, without the headers of the tunnel.', 'provider'),
    unit: 'bytes',
  },
  vmswitch_overlay_received_frames: counter('Frames for guests that came from another host.', 'provider'),
  vmswitch_overlay_received_bytes: {
    ...counter('Bytes for guests that came from another host, without the headers of the tunnel.', 'provider'),
    unit: 'bytes',
  },
  vmswitch_overlay_dropped_frames: counter('Frames that did not go into a tunnel, or not out of it, by reason.', 'reason'),
} as const satisfies Readonly<Record<string, MetricDefinition>>

export type MetricName = keyof typeof metrics

/** Names of the samples that a metric has in the text. */
export function sampleNames(name: MetricName): string[] {
  const { type } = metrics[name]
  if (type === 'counter') return [`${name}_total`]
  if (type === 'info') return [`${name}_info`]
  return type === 'histogram' ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name]
}
