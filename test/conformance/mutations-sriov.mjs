// Ways to break rules of SR-IOV: see mutations.mjs.

const adapter = 'src/adapter/adapter.ts'
const bindings = 'src/adapter/bindings.ts'
const backchannel = 'src/adapter/backchannel.ts'
const capabilities = 'src/adapter/capabilities.ts'
const filters = 'src/adapter/receive-filters.ts'
const guestNdis = 'src/adapter/guest/guest-ndis.ts'
const handlers = 'src/adapter/handlers.ts'
const mailbox = 'src/adapter/igbvf/mailbox.ts'
const netvsc = 'src/adapter/guest/vm-network-adapter.ts'
const pf = 'src/adapter/software-pf.ts'
const pfReceive = 'src/adapter/pf-receive.ts'
const sequences = 'src/adapter/sequences.ts'
const vports = 'src/adapter/vports.ts'
const vfs = 'src/adapter/vfs.ts'

export const sriovMutations = [
  // Who may do what.
  { rule: 'SR-005', file: pf, find: 'if (device && !(vf.device instanceof RegisterFile))', replace: 'if (vfId < 0)' },
  { rule: 'SR-020', file: guestNdis, find: "checkPartition('vf', this.#options.partition) // SR-020, SR-025", replace: '' },
  { rule: 'SR-019', file: guestNdis, find: 'if (protocol !== NETVSC)', replace: 'if (protocol === undefined)' },
  { rule: 'SR-131', file: handlers, find: 'if (vf.owner !== c.driver) return invalid // SR-131', replace: '' },
  { rule: 'SR-193', file: bindings, find: 'if (left.length > 0)', replace: 'if (left.length > 9)' },
  {
    rule: 'SR-262',
    file: 'src/engine/adapters/encapsulation.ts',
    find: 'if (!stack || !SHOWN.includes(request.oid))',
    replace: 'if (!stack || SHOWN.length > 0)',
  },
  // What is registered and told.
  {
    rule: 'SR-047',
    file: adapter,
    find: 'Math.min(registry.number(Keyword.numVFs), ',
    replace: 'Math.max(registry.number(Keyword.numVFs), ',
  },
  { rule: 'SR-068', file: filters, find: 'if (!testsVlans(capabilities)) return { mac, inner, vlan: ANY_VLAN }', replace: '' },
  { rule: 'SR-122', file: bindings, find: 'state ? [describeSwitch(state)] : []', replace: '[]' },
  {
    rule: 'SR-128',
    file: capabilities,
    find: 'return { ...hardware, ...receiveScale, currentReceiveFilter, currentNicSwitch }',
    replace: 'return { ...hardware, ...receiveScale, currentReceiveFilter }',
  },
  { rule: 'SR-279', file: adapter, find: 'this.#luid = ++luids // SR-279', replace: '' },
  {
    rule: 'SR-305',
    file: pf,
    find: 'if (this.#components.capability.vfEnable) this',
    replace: 'if (!this.#components.capability.vfEnable) this',
  },
  // Objects.
  { rule: 'SR-141', file: vfs, find: 'Object.freeze({ ...vf.parameters })', replace: '{ ...vf.parameters }' },
  {
    rule: 'SR-157',
    file: vports,
    find: 'if (switchId !== DEFAULT_SWITCH_ID || vPortId !== DEFAULT_VPORT_ID) return bad',
    replace: '',
  },
  { rule: 'SR-179', file: vports, find: 'if (parameters.processorAffinity.length === 0) return bad', replace: '' },
  { rule: 'SR-187', file: pf, find: '      vf.vport = -1\n', replace: '' },
  { rule: 'SR-189', file: pf, find: 'this.#programming.remove(vportId) // SR-189', replace: '// SR-189' },
  {
    rule: 'SR-232',
    file: filters,
    find: 'if (parameters.requestedFilterIdBitCount !== 0) return',
    replace: 'if (parameters.queueId < 0) return',
  },
  { rule: 'SR-234', file: pfReceive, find: 'processorOf(vPortId) ?? this.#processor', replace: 'this.#processor' },
  // Functions and the backchannel.
  { rule: 'SR-272', file: 'src/adapter/vf-bus.ts', find: 'this.#idle.set(vfId, fresh)', replace: '' },
  { rule: 'SR-274', file: pf, find: 'if (vendorId !== 0 && vendorId !== NO_VENDOR)', replace: 'if (vendorId > NO_VENDOR)' },
  { rule: 'SR-284', file: mailbox, find: '    this.#busy = true\n', replace: '' },
  {
    rule: 'SR-287',
    file: backchannel,
    find: 'return status === NdisStatus.success ? status : NdisStatus.failure',
    replace: 'return status',
  },
  { rule: 'SR-291', file: backchannel, find: '((this.#pending.get(vfId) ?? 0n) | mask)', replace: '(mask)' },
  { rule: 'SR-292', file: mailbox, find: 'blocks.told()', replace: '' },
  { rule: 'SR-296', file: 'src/adapter/guest/software-vf-driver.ts', find: 'this.#blocks.delete(block)', replace: 'void block' },
  // Failover.
  {
    rule: 'SR-243',
    file: netvsc,
    find: '#word: GuestPathWord = GuestPathWord.synthetic',
    replace: '#word: GuestPathWord = GuestPathWord.vf',
  },
  { rule: 'SR-249', file: sequences, find: 'await this.#toDefault(vf, planned) // SR-249', replace: '// SR-249' },
  { rule: 'SR-280', file: sequences, find: '++this.#serials // SR-280', replace: '1' },
  { rule: 'PD-11', file: sequences, find: 'await exposure.drain?.(vf) // PD-11', replace: '// PD-11' },
  {
    rule: 'PD-13',
    file: netvsc,
    find: 'sentFrames: synthetic.sentFrames + vf.sentFrames',
    replace: 'sentFrames: synthetic.sentFrames',
  },
  { rule: 'PD-17', file: 'src/endpoints/vf/transmit-ring.ts', find: 'this.count(V_DMA_FAULTS, 1) // PD-17', replace: '// PD-17' },
]
