// Small ways to break a rule, for `npm run conformance -- --mutate`: in `file`, the only occurrence of `find` becomes `replace`, and a
// test that carries the rule must fail.

import { pathMutations } from './mutations-paths.mjs'
import { rssMutations } from './mutations-rss.mjs'
import { sriovMutations } from './mutations-sriov.mjs'
import { vmqMutations } from './mutations-vmq.mjs'

const control = 'src/switch/control/switch-control.ts'
const verdicts = 'src/switch/control/oid-verdicts.ts'
const issuing = 'src/switch/control/module-control.ts'
const edge = 'src/switch/control/edge.ts'
const topology = 'src/switch/control/topology.ts'
const enumeration = 'src/switch/policies/enumeration.ts'
const isolation = 'src/switch/policies/isolation-parameters.ts'
const manager = 'src/engine/extension-manager.ts'
const records = 'src/switch/control/records.ts'
const references = 'src/switch/control/references.ts'
const moduleFile = 'src/switch/module.ts'
const stack = 'src/switch/stack.ts'
const saving = 'src/switch/save-restore/save-control.ts'
const oidPath = 'src/switch/control/oid-path.ts'
const portTable = 'src/switch/port-table.ts'
const checkedControl = 'src/switch/verify/checked-control.ts'

export const mutations = [
  // Classes and order.
  { rule: 'ES-011', file: moduleFile, find: 'capturing: 0, filtering: 1,', replace: 'capturing: 1, filtering: 0,' },
  { rule: 'ES-012', file: stack, find: "direction === 'ingress' ? wanted : wanted.reverse()", replace: 'wanted' },
  { rule: 'ES-014', file: stack, find: 'if (forwarding.length > 1)', replace: 'if (forwarding.length > 2)' },
  {
    rule: 'ES-018',
    file: stack,
    find: 'if (rankOf(above.class) > rankOf(below.class))',
    replace: 'if (rankOf(above.class) > 2)',
  },
  // What a class may do.
  { rule: 'ES-306', file: moduleFile, find: 'capturing: Right.none', replace: 'capturing: Right.drop' },
  { rule: 'ES-307', file: moduleFile, find: 'capturing: Right.none', replace: 'capturing: Right.modify' },
  { rule: 'ES-308', file: moduleFile, find: 'capturing: Right.none', replace: 'capturing: Right.addDestination' },
  { rule: 'ES-309', file: moduleFile, find: 'capturing: Right.none', replace: 'capturing: Right.exclude' },
  { rule: 'ES-310', file: moduleFile, find: 'capturing: Right.none', replace: 'capturing: Right.clone' },
  {
    rule: 'ES-315',
    file: moduleFile,
    find: 'filtering: Right.drop |',
    replace: 'filtering: Right.addDestination | Right.drop |',
  },
  // Topology and connections.
  { rule: 'ES-001', file: topology, find: 'refuse(`it already has the', replace: 'void (`it already has the' },
  { rule: 'ES-002', file: topology, find: 'refuse(`it already has the', replace: 'void (`it already has the' },
  {
    rule: 'ES-004',
    file: topology,
    find: "if (external && type !== 'external') refuse(",
    replace: 'if (external && !type) refuse(',
  },
  {
    rule: 'ES-005',
    file: topology,
    find: "if (!external && type === 'private') refuse(",
    replace: 'if (!external && !type) refuse(',
  },
  { rule: 'ES-101', file: control, find: 'await this.#deleteConnections(port) // ES-101', replace: '// ES-101' },
  {
    rule: 'ES-107',
    file: control,
    find: 'create(Oid.portCreate, port.portParameters()',
    replace: 'create(Oid.portUpdated, port.portParameters()',
  },
  { rule: 'ES-140', file: control, find: 'await this.#issuer.drained(port.id, PORT_ITSELF, () => 0)', replace: '' },
  { rule: 'ES-171', file: control, find: 'nic.mtu = (reached as { mtu: number }).mtu', replace: '' },
  { rule: 'ES-183', file: control, find: 'nic.state = before // ES-183', replace: '// ES-183' },
  { rule: 'ES-187', file: control, find: 'announce(Oid.nicConnect, port', replace: 'announce(Oid.portUpdated, port' },
  { rule: 'ES-200', file: control, find: 'this.#components.references.close(port.id, nic.index)', replace: '' },
  {
    rule: 'ES-213',
    file: control,
    find: 'await this.#issuer.drained(port.id, nic.index, () => this.#inFlight(port, nic))',
    replace: '',
  },
  { rule: 'ES-215', file: control, find: 'this.#components.references.open(port.id, nic.index)', replace: '' },
  { rule: 'ES-232', file: control, find: 'references.open(port.id, PORT_ITSELF) // ES-232', replace: '// ES-232' },
  {
    rule: 'ES-231',
    file: references,
    find: 'if ((word & KNOWN) === 0) return NdisStatus.invalidParameter',
    replace: 'if ((word & KNOWN) === 0) return NdisStatus.success',
  },
  { rule: 'ES-237', file: references, find: 'if ((word & OPEN) === 0) return NdisStatus.failure', replace: '' },
  { rule: 'ES-173', file: records, find: 'flags: first ? NIC_INITIALIZING : 0', replace: 'flags: NIC_INITIALIZING' },
  { rule: 'ES-226', file: records, find: 'vfAssigned: vm && nic.vfAssigned', replace: 'vfAssigned: true' },
  { rule: 'ES-227', file: records, find: "vmName: vm ? options.vmName : ''", replace: 'vmName: options.vmName' },
  // Requests.
  {
    rule: 'ES-114',
    file: verdicts,
    find: 'if (success)\n        return refuse(',
    replace: 'if (!success)\n        return refuse(',
  },
  { rule: 'ES-180', file: verdicts, find: 'if (index !== 0) return refuse', replace: 'if (index < 0) return refuse' },
  {
    rule: 'ES-188',
    file: verdicts,
    find: "case 'never':\n      return refuse(",
    replace: "case 'never':\n      return accept ?? refuse(",
  },
  {
    rule: 'ES-250',
    file: verdicts,
    find: "if (by.class === 'capturing') return refuse(by, 'ES-250', `completed",
    replace: "if (false) return refuse(by, 'ES-250', `completed",
  },
  { rule: 'ES-172', file: verdicts, find: 'mtu > nic.mtu || mtu < 68', replace: 'mtu < 68' },
  { rule: 'ES-512', file: verdicts, find: "if (success && by.class === 'filtering') {", replace: 'if (success && !by.class) {' },
  { rule: 'ES-120', file: issuing, find: "if (rule.by === 'edge')\n", replace: 'if (rule.by === undefined)\n' },
  { rule: 'ES-141', file: issuing, find: 'if (references.held(portId, PORT_ITSELF) === 0)', replace: 'if (portId < 0)' },
  {
    rule: 'ES-265',
    file: issuing,
    find: "if (inner.type !== 'query' && this.#components.class !== 'forwarding')",
    replace: "if (inner.type === 'nothing')",
  },
  { rule: 'ES-074', file: issuing, find: 'if (!view.parameters.isActive)', replace: 'if (view.parameters === undefined)' },
  { rule: 'ES-256', file: edge, find: 'sourcePortId: source.portId,', replace: 'sourcePortId: 0,' },
  {
    rule: 'ES-255',
    file: edge,
    find: 'return wrap(externalPortId) // ES-255',
    replace: 'return wrap(DEFAULT_PORT_ID) // ES-255',
  },
  // States, requests and settings of the control path.
  {
    rule: 'ES-010',
    file: topology,
    find: 'if (expected !== undefined && expected !== port.nicType)',
    replace: 'if (expected !== undefined && expected < 0)',
  },
  {
    rule: 'ES-017',
    file: manager,
    find: 'rankOf(other.class) >= rankOf(slot.class)',
    replace: 'rankOf(other.class) > rankOf(slot.class)',
  },
  {
    rule: 'ES-059',
    file: 'src/switch/control/oid-path.ts',
    find: 'if (this.#pending > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))',
    replace: '',
  },
  { rule: 'ES-088', file: enumeration, find: 'if (room !== undefined && !(room >= bytes))', replace: 'if (bytes < 0)' },
  {
    rule: 'ES-089',
    file: enumeration,
    find: 'return { status: NdisStatus.failure } // ES-089',
    replace: 'return { status: NdisStatus.invalidParameter }',
  },
  {
    rule: 'ES-096',
    file: 'src/ndis/oid-rules.ts',
    find: "[Oid.portPropertyEnum, rule('method', 'extension', 'never', 'ES-096')]",
    replace: "[Oid.portPropertyEnum, rule('method', 'extension', 'property', 'ES-096')]",
  },
  {
    rule: 'ES-105',
    file: records,
    find: 'portType: this.options.type,',
    replace: 'portType: this.state === 1 ? this.options.type : 0,',
  },
  {
    rule: 'ES-131',
    file: control,
    find: 'references.close(port.id, PORT_ITSELF) // ES-131, ES-237',
    replace: '// ES-131, ES-237',
  },
  {
    rule: 'ES-147',
    file: 'src/engine/port-moves.ts',
    find: 'if (id !== undefined) await this.#components.control.deletePort(id)',
    replace: '',
  },
  {
    rule: 'ES-151',
    file: verdicts,
    find: 'completion.status === NdisStatus.resources &&',
    replace: 'completion.status === 0 &&',
  },
  { rule: 'ES-152', file: records, find: 'isValidationPort: this.isValidationPort,', replace: 'isValidationPort: false,' },
  { rule: 'ES-153', file: records, find: 'isValidationPort: this.isValidationPort,', replace: 'isValidationPort: true,' },
  {
    rule: 'ES-159',
    file: 'src/switch/port-table.ts',
    find: 'nicIndex <= PHYSICAL_NICS_MAX &&',
    replace: 'nicIndex < PHYSICAL_NICS_MAX &&',
  },
  { rule: 'ES-222', file: records, find: "this.vmMac = vm ? mac : ''", replace: 'this.vmMac = mac' },
  { rule: 'ES-239', file: control, find: "throw wrongState(port, port.nics[0]!, 'NIC_REQUEST')", replace: 'void 0' },
  {
    rule: 'ES-243',
    file: 'src/engine/port-moves.ts',
    find: 'await this.#components.control.deleteConnection(runner.id)',
    replace: 'await this.#components.control.disconnect(runner.id)',
  },
  {
    rule: 'ES-253',
    file: 'src/switch/policies/property-control.ts',
    find: 'return // ES-253',
    replace: '// ES-253',
  },
  {
    rule: 'ES-261',
    file: verdicts,
    find: "if (!sameBut(from, to, ['destinationPortId', 'destinationNicIndex', 'oidRequest']))",
    replace: 'if (from === undefined)',
  },
  {
    rule: 'ES-269',
    file: issuing,
    find: 'if (sourcePortId === DEFAULT_PORT_ID || sourceNicIndex !== DEFAULT_NIC_INDEX)',
    replace: 'if (sourcePortId < 0)',
  },
  {
    rule: 'ES-271',
    file: issuing,
    find: 'if (!this.#offloads.mayIssue(inner.oid, destinationNicIndex))',
    replace: 'if (inner.oid < 0)',
  },
  {
    rule: 'ES-273',
    file: issuing,
    find: "if (references.held(sourcePortId, sourceNicIndex) === 0) return bad('ES-273',",
    replace: "if (sourceNicIndex < 0) return bad('ES-273',",
  },
  { rule: 'ES-274', file: verdicts, find: 'if (forwards && !by.within &&', replace: 'if (!forwards && !by.within &&' },
  {
    rule: 'ES-524',
    file: 'src/switch/policies/bandwidth.ts',
    find: 'scope !== except && !this.#isValidationPort(scope)',
    replace: 'scope !== except',
  },
  {
    rule: 'ES-527',
    file: 'src/switch/forwarding.ts',
    find: 'if (!ports.teamAddress(source, low, second >>> 16)) {',
    replace: 'if (low !== 0) {',
  },
  {
    rule: 'ES-530',
    file: 'src/switch/guards/learned-addresses.ts',
    find: 'const most = Math.min(limit, IP_ADDRESSES_MAX)',
    replace: 'const most = limit === 0 ? 0 : IP_ADDRESSES_MAX',
  },
  {
    rule: 'ES-541',
    file: 'src/switch/policies/port-effects.ts',
    find: 'primary: allowUntaggedTraffic ? defaultIsolationId : NO_VLAN, set }',
    replace: 'primary: defaultIsolationId, set }',
  },
  {
    rule: 'ES-543',
    file: isolation,
    find: 'isolation === undefined && routingDomains.length === 0',
    replace: 'properties.length < 0',
  },
  { rule: 'ES-544', file: isolation, find: 'bytesNeeded: bytes, bytesWritten: 0 }', replace: 'bytesWritten: 0 }' },
  {
    rule: 'ES-545',
    file: 'src/switch/policies/property-control.ts',
    find: "if (type === 'routing-domain') this.#components.routingDomainsChanged(scope)",
    replace: '',
  },
  // Connections that are not connected yet, or not any more.
  {
    rule: 'ES-175',
    file: issuing,
    find: 'NdisStatus.failure, // ES-216, ES-221',
    replace: 'undefined as never, // ES-216, ES-221',
  },
  {
    rule: 'ES-201',
    file: issuing,
    find: 'if (references.held(destinationPortId, destinationNicIndex) === 0) {\n      const rule',
    replace: 'if (destinationPortId < 0) {\n      const rule',
  },
  { rule: 'ES-176', file: issuing, find: 'NdisStatus.failure, // ES-217', replace: 'undefined as never, // ES-217' },
  { rule: 'ES-202', file: issuing, find: "disconnected: 'ES-202',", replace: "disconnected: 'ES-176'," },
  {
    rule: 'ES-220',
    file: control,
    find: 'await this.#issuer.drained(port.id, nic.index, () => this.#inFlight(port, nic))',
    replace: '',
  },
  {
    rule: 'ES-178',
    file: portTable,
    find: 'return this.words[at + W_NIC_STATE] === NicState.created',
    replace: 'return false',
  },
  {
    rule: 'ES-174',
    file: portTable,
    find: 'return this.words[at + W_NIC_STATE] === NicState.connected && (this.words',
    replace: 'return this.words[at + W_NIC_STATE] !== NicState.unknown && (this.words',
  },
  {
    rule: 'ES-206',
    file: control,
    find: 'this.#write(port)\n    if (nic.index === 0 || !port.physicallyConnected)',
    replace: 'if (nic.index === 0 || !port.physicallyConnected)',
  },
  {
    rule: 'ES-205',
    file: oidPath,
    find: 'if (this.#portReferences(module, current) > portHeld)',
    replace: 'if (portHeld < 0)',
  },
  { rule: 'ES-218', file: checkedControl, find: 'if (nic && change === 1 && onDataPath', replace: 'if (!nic && onDataPath' },
  // What adapters are called, and the addresses that they use.
  {
    rule: 'ES-156',
    file: records,
    find: 'this.options.physicalNics?.length ?? 1',
    replace: '2',
  },
  {
    rule: 'ES-159',
    file: topology,
    find: 'if (external && !(port.physicalNics >= 1',
    replace: 'if (!external && !(port.physicalNics >= 1',
  },
  { rule: 'ES-224', file: records, find: 'macSpoofing && nic.vmMac', replace: '!macSpoofing && nic.vmMac' },
  { rule: 'ES-225', file: records, find: "teaming && nic.failedOverMac !== ''", replace: "!teaming && nic.failedOverMac !== ''" },
  { rule: 'ES-228', file: records, find: "nic.operational ? nic.netCfgInstanceId : ''", replace: 'nic.netCfgInstanceId' },
  { rule: 'ES-229', file: records, find: 'if (vm) {\n      nic.numaNodeId', replace: 'if (nic) {\n      nic.numaNodeId' },
  // Saving and restoring.
  { rule: 'ES-458', file: 'src/engine/port-runner.ts', find: 'await stopping?.()', replace: '' },
  { rule: 'ES-468', file: saving, find: 'saving.room = data // ES-468', replace: 'return fail("no room")' },
  { rule: 'ES-469', file: saving, find: 'return true // ES-469', replace: 'return false' },
  {
    rule: 'ES-471',
    file: saving,
    find: 'await issueAll(savings.map(({ portId }) => complete(Oid.nicSaveComplete, portId)))',
    replace: '',
  },
  { rule: 'ES-483', file: saving, find: '{ ...block, portId, nicIndex: 0 }', replace: '{ ...block, portId: 1, nicIndex: 0 }' },
  { rule: 'ES-488', file: saving, find: 'await issueAll([complete(Oid.nicRestoreComplete, portId)])', replace: '' },
  ...pathMutations,
  ...sriovMutations,
  ...vmqMutations,
  ...rssMutations,
]
