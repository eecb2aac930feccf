// Adapter calls without adapters: one adapter of two VFs, one of which port alpha has. For tests of what stands on SwitchHost.

import { ControlError } from '../control/control-errors.ts'
import type { AdapterCalls, AdapterStatus, AssignedVfStatus, VfShown } from './adapter-calls.ts'
import { fakeQueues } from './fake-queues.ts'

const counters = {
  receivedFrames: 1_234_567,
  receivedBytes: 98_765_432,
  sentFrames: 7,
  sentBytes: 448,
  receivedDropped: 3,
  sendDropped: 0,
  receivedMulticast: 1,
}

const shown = (vf: number): VfShown => ({
  vf,
  mac: vf === 0 ? '52:54:00:77:00:01' : '00:00:00:00:00:00',
  vlan: vf === 0 ? 10 : 0,
  qos: 0,
  spoofchk: true,
  trust: false,
  max_tx_rate: 0,
  min_tx_rate: 0,
  state: 'auto',
  allocated: vf === 0,
  link: vf === 0,
})

const assigned: AssignedVfStatus = {
  adapter: 'nic0',
  port: 'alpha',
  vf: 0,
  vport: 1,
  serialNumber: 1,
  form: 'vfio-user',
  path: '/run/l/alpha-vf.sock',
  state: 'active',
  switchovers: 3,
  detail: { resets: 1 },
}

const adapterStatus: AdapterStatus = {
  name: 'nic0',
  mac: '02:00:00:00:00:01',
  state: 'running',
  uplink: { kind: 'uplink', interface: 'eth1', via: 'auto', queues: 1, promiscuous: true, qdiscBypass: false },
  link: 'up',
  vfs: { total: 2, allocated: 1 },
  vports: [
    { id: 0, name: '', function: 'pf', state: 'activated', queuePairs: 1, filters: [], counters, drops: {} },
    {
      id: 1,
      name: 'alpha',
      function: 0,
      state: 'activated',
      queuePairs: 1,
      filters: [{ id: 1, mac: '52:54:00:77:00:01', vlan: 10 }],
      counters,
      drops: { 'mac-spoofing': 3 },
    },
  ],
  wire: counters,
  wireDrops: {},
  shown: [shown(0), shown(1)],
  assigned: [assigned],
}

/** `note` is told of every call that changes something. */
export function fakeAdapters(note: (call: string, argument?: unknown) => void): AdapterCalls {
  const adapter = (name: string): AdapterStatus => {
    if (name !== 'nic0') throw new ControlError('no-such-adapter', `switch "lab0" has no adapter "${name}" (it has: nic0)`)
    return adapterStatus
  }
  return {
    ...fakeQueues(note),
    adapters: () => [adapterStatus],
    adapter,
    pullAdapter: (name) => {
      note('pullAdapter', name)
      return { ...adapter(name), state: 'removed', link: 'down', assigned: [] }
    },
    plugAdapter: (name) => {
      note('plugAdapter', name)
      return adapter(name)
    },
    adapterRequest: (name, request) => {
      note('adapterRequest', { name, ...request })
      return { status: 0, statusName: 'NDIS_STATUS_SUCCESS', output: { hex: '00ff' } }
    },
    setVf: ({ adapter: name, vf, words }) => {
      note('setVf', { name, vf, words })
      adapter(name)
      if (words.qos === 9) throw new ControlError('bad-vf-setting', 'vf 0: qos is a priority from 0 to 7, not 9')
      return { ...shown(vf), ...words }
    },
    vfs: () => [assigned],
    assignVf: (port) => {
      note('assignVf', port)
      if (port === 'beta') throw new ControlError('no-iov', 'port "beta" wants no VF: it has no iov')
      return { ...assigned, port, vf: 1, state: 'waiting' }
    },
    removeVf: (removal) => note('removeVf', removal),
    resetVf: (port) => {
      note('resetVf', port)
      return assigned
    },
  }
}
