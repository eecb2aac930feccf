// A SwitchHost without a switch: two ports, two extensions, everything answered from memory. For tests of what stands on SwitchHost.

import { fieldsSchema, type PropertyField } from '../../ndis/property-fields.ts'
import { fakeAdapters } from '../adapters/fake-adapters.ts'
import { fakeDiagnosis } from '../diagnosis/fake-diagnosis.ts'
import type { ExtensionStatus, PortCounters, PortStatus, PropertyDefinitionStatus, PropertyStatus, SwitchHost } from '../host.ts'
import { fakeOverlay } from '../overlay/fake-overlay.ts'
import type { AclStatus } from '../policies/acl-calls.ts'
import type { SnoopingConfig, SnoopingStatus } from '../policies/snooping-calls.ts'
import { ControlError } from './control-errors.ts'

const noBandwidth = {
  maximum: null,
  maximumReceive: null,
  minimum: null,
  weight: null,
  pacedBytes: 0,
  waitedSeconds: 0,
  uplinkBytes: 0,
}

const counters: PortCounters = {
  receivedFrames: 1_234_567,
  receivedBytes: 98_765_432,
  sentFrames: 7,
  sentBytes: 448,
  receivedDropped: 3,
  sendDropped: 0,
  receivedMulticast: 1,
  floodedFrames: 2,
}

const SAVED = '{"format":"vmswitch-save","version":1}'

const meter: AclStatus = {
  port: 'alpha',
  vm: 'alpha',
  extended: false,
  index: 0,
  name: '10.0.0.0/8',
  entry: { action: 'meter', direction: 'both', remoteIPAddress: '10.0.0.0/8' },
  packets: 3,
  bytes: 180,
}

const property: PropertyStatus = {
  port: 'alpha',
  type: 'vlan',
  id: null,
  name: '',
  instance: '00000000-0000-4000-8000-000000000002',
  version: '1.0',
  value: { mode: 'access', accessVlanId: 10 },
}

const rateFields: readonly PropertyField[] = [
  { name: 'perSecond', type: 'integer', min: 1, max: 1000, required: true, description: 'Frames a second.' },
  { name: 'mode', type: 'choice', choices: ['drop', 'mark'], default: 'drop' },
]
const definition: PropertyDefinitionStatus = {
  name: 'rate-limit',
  id: '0d3c1f9f-0001-4c56-9b7e-7b0b6d0e5f0c',
  version: '1.0',
  scope: 'port',
  extension: 'limiter',
  fields: rateFields,
  list: false,
  schema: fieldsSchema(rateFields),
}

/** A fake host, and the calls made to it. */
export interface FakeHost {
  readonly host: SwitchHost
  readonly calls: string[]
}

const extensionOf = (name: string, kind: string): ExtensionStatus => ({
  name,
  id: '{00000000-0000-4000-8000-000000000001}',
  version: '1.0.0',
  class: kind,
  enabled: true,
  state: 'running',
  onFailure: 'closed',
  faults: 0,
  lastFault: '',
  breaches: 0,
  nsPerPacket: 1.5,
  counters: { seen: 12 },
  sinks: [],
})

/** A host with the ports alpha (vhost-user) and beta (tap), and the extensions capture and acl. */
export function fakeHost(): FakeHost {
  let snooping: SnoopingConfig | null = { floodUnregistered: false }
  const calls: string[] = []
  const ports: PortStatus[] = [
    {
      name: 'alpha',
      friendlyName: 'alpha',
      vm: 'alpha',
      mtu: 1500,
      portMirroring: 'none',
      monitorSession: 0,
      monitorDirection: 'both',
      monitorVlan: 0,
      tenant: '',
      teaming: null,
      uplinks: [],
      iov: {
        weight: 0,
        form: 'vfio-user',
        path: '/run/l/alpha-vf.sock',
        queuePairs: 1,
        trusted: false,
        requireSeals: true,
      },
      id: 1,
      mac: '52:54:00:77:00:01',
      macSpoofing: 'off',
      learning: false,
      link: 'up',
      connected: true,
      queues: 1,
      engine: 'wasm',
      endpoint: { kind: 'vhost-user', path: '/run/l/alpha.sock', mode: 'server', queuePairs: 1, mtu: 1500, requireSeals: true },
      detail: { engine: 'wasm' },
      bandwidth: noBandwidth,
      counters,
    },
    {
      name: 'beta',
      friendlyName: 'Reception desk',
      vm: 'web',
      mtu: 1500,
      portMirroring: 'destination',
      monitorSession: 2,
      monitorDirection: 'both',
      monitorVlan: 0,
      tenant: '',
      teaming: null,
      uplinks: [],
      iov: null,
      id: 2,
      mac: null,
      macSpoofing: 'off',
      learning: true,
      link: 'up',
      connected: false,
      queues: 1,
      engine: null,
      endpoint: { kind: 'tap', interface: 'vsw0', mtu: 1500, queues: 1 },
      detail: {},
      bandwidth: noBandwidth,
      counters: { ...counters, receivedFrames: 0, receivedBytes: 0 },
    },
  ]
  let extensions = [extensionOf('capture', 'capturing'), extensionOf('acl', 'filtering')]
  const port = (name: string): PortStatus => {
    const found = ports.find((candidate) => candidate.name === name)
    if (found === undefined) throw new ControlError('no-such-port', `switch "lab0" has no port "${name}"`)
    return found
  }
  const note = (call: string, argument?: unknown): void => {
    calls.push(argument === undefined ? call : `${call} ${JSON.stringify(argument)}`)
  }
  const host: SwitchHost = {
    ...fakeAdapters(note),
    ...fakeDiagnosis(note),
    status: () => ({
      name: 'lab0',
      type: 'private',
      version: '0.1.0',
      pid: 4242,
      startedAt: '2026-01-02T03:04:05.000Z',
      uptimeSeconds: 3723,
      file: '/etc/lab.yaml',
      runtimeDirectory: '/run/l',
      control: '/run/l/control.sock',
      processors: [{ id: 0, latencyNs: { p50: 1100, p99: 4200, p999: 16_000 }, counters: { frames: 1_234_567 } }],
      ports: { total: 2, connected: 1 },
      extensions: { total: 2, enabled: 2, failed: 0 },
      macTable: { used: 2, capacity: 8192, ageingSeconds: 300 },
      receivedFrames: 1_234_567,
      droppedFrames: 6,
      memory: { residentBytes: 123_000_000, guestBytesAvailable: 4_000_000_000 },
    }),
    ports: () => ports,
    live: () => ({
      takenAt: '2026-01-02T03:04:05.000Z',
      switch: { name: 'lab0', type: 'private', version: '0.1.0', startedAt: '2026-01-02T03:04:05.000Z', uptimeSeconds: 3723 },
      ports: ports.map(({ endpoint, iov, ...port }) => ({
        ...port,
        kind: endpoint.kind,
        place: 'path' in endpoint ? endpoint.path : '',
        vlan: null,
        wantsVf: (iov?.weight ?? 0) > 0,
      })),
      extensions,
      drops: [{ port: 'alpha', reason: 'mac-spoofing', frames: 3 }],
      processors: [{ id: 0, latencyNs: { p50: 1100, p99: 4200, p999: 16_000 }, latencyCounts: [0, 12], counters: { busyNs: 5 } }],
      adapters: [],
      queues: [],
      overlay: null,
      macTable: { used: 2, capacity: 8192, ageingSeconds: 300 },
      memory: { residentBytes: 123_000_000, guestBytesAvailable: 4_000_000_000 },
    }),
    mdb: () => ({
      settings: snooping,
      groups: snooping === null ? [] : [{ vlan: 10, group: '239.1.2.3', port: 'alpha', expiresSeconds: 200 }],
      routers: [{ vlan: 10, family: 'ipv4', port: 'uplink', kind: 'learned', expiresSeconds: 100 }],
      queriers: [{ vlan: 10, family: 'ipv4', kind: 'other', address: '10.0.0.1', port: 'uplink', expiresSeconds: 100 }],
      table: { used: 2, capacity: 1024, share: 128 },
      ports: [{ port: 'alpha', groups: 1, refused: 3 }],
      counters: {
        ...{ reports: 5, queries: 1, hellos: 0, joined: 1, left: 0, expired: 0, invalid: 2 },
        ...{ refusedByShare: 3, full: 0, busy: 0 },
      },
    }),
    ...fakeOverlay(calls),
    setSnooping(settings) {
      calls.push(`snooping ${JSON.stringify(settings)}`)
      snooping = settings
      return this.mdb() as SnoopingStatus
    },
    team: () => ({
      port: 'uplink',
      teamingMode: 'SwitchIndependent',
      loadBalancing: 'HyperVPort',
      failovers: 1,
      announced: 2,
      members: [
        {
          name: 'eth1',
          nicIndex: 1,
          role: 'active',
          link: 'up',
          active: true,
          designated: true,
          ports: ['alpha'],
          counters: { sentFrames: 1500, sentBytes: 90_000, receivedFrames: 700, duplicates: 3, reflections: 2 },
        },
      ],
    }),
    fdb: (filter) => {
      note('fdb', filter)
      return [
        { vlan: 0, mac: '02:00:00:00:00:05', port: 'beta', kind: 'learned', ageSeconds: 12 },
        { vlan: 0, mac: '52:54:00:77:00:01', port: 'alpha', kind: 'static', ageSeconds: null },
      ]
    },
    flushFdb: (filter) => {
      note('flushFdb', filter)
      return 1
    },
    extensions: () => extensions,
    setExtension: ({ name, enabled }) => {
      note('setExtension', { name, enabled })
      extensions = extensions.map((extension) => (extension.name === name ? { ...extension, enabled } : extension))
      const found = extensions.find((extension) => extension.name === name)
      if (found === undefined) throw new ControlError('no-such-extension', `switch "lab0" has no extension "${name}"`)
      return found
    },
    pauseExtension: ({ name, paused }) => {
      note('pauseExtension', { name, paused })
      return { ...extensionOf(name, 'filtering'), state: paused ? 'paused' : 'running' }
    },
    reorderExtensions: (names) => {
      note('reorderExtensions', names)
      throw new ControlError('refused', 'capturing extensions stand above filtering ones')
    },
    installExtension: (extension) => {
      note('installExtension', extension)
      return { ...extensionOf('guard', 'filtering'), enabled: extension.enabled === true }
    },
    uninstallExtension: (name) => note('uninstallExtension', name),
    replaceExtension: (name) => {
      note('replaceExtension', name)
      throw new TypeError('a defect')
    },
    counters: () => ({
      takenAt: '2026-01-02T03:04:05.000Z',
      ports: ports.map(({ name, counters: of }) => ({ name, counters: of })),
      extensions: extensions.map(({ name, counters: of }) => ({ name, counters: of })),
      processors: [{ id: 0, latencyNs: { p50: 1100, p99: 4200, p999: 16_000 }, counters: { bursts: 40_000, frames: 1_234_567 } }],
    }),
    drops: () => [{ port: 'alpha', reason: 'mac-spoofing', frames: 3 }],
    addPort: (input) => {
      note('addPort', input)
      return { ...port('alpha'), name: input.name }
    },
    removePort: (name) => {
      port(name)
      note('removePort', name)
    },
    setLink: (name, up) => {
      note('setLink', { name, up })
      return { ...port(name), link: up ? 'up' : 'down' }
    },
    setPort: (name, change) => {
      note('setPort', { name, ...change })
      return { ...port(name), ...change } as PortStatus
    },
    acls: () => [meter],
    addAcl: (addition) => {
      note('addAcl', addition)
      return [meter]
    },
    removeAcl: (removal) => {
      note('removeAcl', removal)
      return []
    },
    properties: (filter) => {
      note('properties', filter)
      return [property]
    },
    propertyDefinitions: () => [
      definition,
      { ...definition, name: 'labels', id: '0d3c1f9f-0002-4c56-9b7e-7b0b6d0e5f0c', scope: 'switch', fields: null, schema: null },
    ],
    addProperty: (change) => {
      note('addProperty', change)
      return { ...property, port: change.port ?? null, type: change.type, value: change.value }
    },
    setProperty: (change) => {
      note('setProperty', change)
      return { ...property, port: change.port ?? null, value: change.value }
    },
    removeProperty: (filter) => note('removeProperty', filter),
    featureStatus: (filter) => {
      note('featureStatus', filter)
      return { id: filter.id, version: '1.0', data: 'aGVsbG8=' }
    },
    save: (filter) => {
      note('save', filter)
      return SAVED
    },
    restore: (saved) => {
      note('restore', saved)
      const withoutVf = 'the switch has no SR-IOV adapter to give port "alpha" a VF from'
      return { ports: [{ name: 'alpha', created: false, data: 'restored', orphans: 0, withoutVf }] }
    },
    prepareMigration: (saved) => {
      note('prepareMigration', saved)
      return port('alpha')
    },
    holdPort: (name) => {
      port(name)
      note('holdPort', name)
    },
    awaitStop: (name, timeoutMs) => {
      note('awaitStop', { name, timeoutMs })
      return true
    },
    handOver: (name) => {
      note('handOver', name)
      return SAVED
    },
    takeOver: (saved) => {
      note('takeOver', saved)
      return { ports: [{ name: 'alpha', created: false, data: 'restored', orphans: 1, withoutVf: null }] }
    },
    stillMigrating: (name, last) => note('stillMigrating', { name, last }),
    abandonMigration: (name) => note('abandonMigration', name),
  }
  return { host, calls }
}
