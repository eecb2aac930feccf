// Ways to break rules of the data path, classes and VLANs included: see mutations.mjs.

const verdicts = 'src/switch/control/oid-verdicts.ts'
const dataPath = 'src/switch/data-path.ts'
const batch = 'src/ndis/batch.ts'
const forwarding = 'src/ndis/forwarding-batch.ts'
const packets = 'src/switch/packet-handle.ts'
const vlans = 'src/switch/vlan-policy.ts'
const checkedBatch = 'src/switch/verify/checked-batch.ts'

export const pathMutations = [
  // The data path.
  {
    rule: 'ES-305',
    file: batch,
    find: 'this.takeOut(slot, number)\n    this.countLost(slot, number)',
    replace: 'this.countLost(slot, number)',
  },
  {
    rule: 'ES-344',
    file: batch,
    find: 'this.takeOut(slot, number)\n    this.countLost(slot, number)',
    replace: 'if (this.ingress) this.takeOut(slot, number)\n    this.countLost(slot, number)',
  },
  {
    rule: 'ES-362',
    file: batch,
    find: 'this.takeOut(slot, number)\n    this.countLost(slot, number)',
    replace: 'this.takeOut(slot, number)',
  },
  {
    rule: 'ES-317',
    file: dataPath,
    find: 'if (this.stack.hasForwarding) this.dropUndirected(batch)',
    replace: 'if (this.stack.hasForwarding) this.forward(batch, source)',
  },
  {
    rule: 'ES-331',
    file: dataPath,
    find: 'else this.choice.forward(batch, source, this.edge.isAllNative) // ES-331',
    replace: 'else this.dropUndirected(batch)',
  },
  { rule: 'ES-338', file: 'src/switch/placement.ts', find: 'this.mirroring.add(batch)', replace: '' },
  {
    rule: 'ES-340',
    file: dataPath,
    find: 'this.stack.egress(batch)\n    if (batch.length !== 0) this.deliver(batch, seen | this.tunnelNeeds)',
    replace: 'if (batch.length !== 0) this.deliver(batch, seen | this.tunnelNeeds)',
  },
  {
    rule: 'ES-347',
    file: batch,
    find: "ingress ? Right.modify : Right.none, ingress ? 'ES-307' : 'ES-347', breach)) return false\n    const slot = this.slots[i]!\n    if (!(offset",
    replace:
      "Right.modify, ingress ? 'ES-307' : 'ES-347', breach)) return false\n    const slot = this.slots[i]!\n    if (!(offset",
  },
  {
    rule: 'ES-328',
    file: forwarding,
    find: "ingress ? Right.addDestination : Right.none, ingress ? 'ES-412' : 'ES-328'",
    replace: "Right.addDestination, ingress ? 'ES-412' : 'ES-328'",
  },
  {
    rule: 'ES-346',
    file: forwarding,
    find: 'setDestinationAt(pool, slot, k, entry | DE_EXCLUDED)\n    const number',
    replace: 'const number',
  },
  { rule: 'ES-358', file: forwarding, find: 'if (this.allExcluded(slot)) this.takeOut(slot, number)', replace: '' },
  {
    rule: 'ES-357',
    file: forwarding,
    find: 'return (entry & DE_EXCLUDED) === 0\n    }',
    replace: 'setDestinationAt(this.pool, slot, k, entry & ~DE_EXCLUDED)\n      return true\n    }',
  },
  { rule: 'ES-441', file: forwarding, find: 'if (!this.owner.connected(portId, nicIndex)) return false', replace: '' },
  { rule: 'ES-421', file: forwarding, find: 'if (k >= 0 && k < this.pool.destinationCount[slot]!) {', replace: 'if (k < 0) {' },
  {
    rule: 'ES-566',
    file: forwarding,
    find: 'if ((this.pool.flags[this.slots[i]!]! & PF_NATIVE_FORWARDING) === 0) return true',
    replace: 'if (i >= 0) return true',
  },
  { rule: 'ES-440', file: packets, find: 'if (!allowed) return invalidParameter', replace: '' },
  {
    rule: 'ES-391',
    file: packets,
    find: 'pool.sourceNic[slot] = nicIndex\n      injections.alter(slot)',
    replace: 'pool.sourceNic[slot] = nicIndex',
  },
  {
    rule: 'ES-364',
    file: forwarding,
    find: 'this.owner.filtered(slot, reason, this.pool.sourcePort[slot]!, true)',
    replace: 'void reason',
  },
  { rule: 'ES-365', file: forwarding, find: 'this.owner.filtered(slot, reason, entry & DE_PORT, false)', replace: 'void reason' },
  // Classes on the data path.
  {
    rule: 'ES-312',
    file: forwarding,
    find: 'return k < this.pool.destinationCount[slot]! ? destinationAt(this.pool, slot, k) & DE_PORT : 0',
    replace: 'return destinationAt(this.pool, slot, k) & DE_PORT',
  },
  {
    rule: 'ES-313',
    file: verdicts,
    find: "if (success && by.class === 'filtering') {",
    replace: 'if (success && !by.class) {',
  },
  {
    rule: 'ES-318',
    file: checkedBatch,
    find: "use === 'ingress' && real.destinationCount(i) > 0",
    replace: 'real.destinationCount(i) < 0',
  },
  {
    rule: 'ES-319',
    file: 'src/extensions/learning-forward/index.ts',
    find: 'if (source !== 0 && guard.forbids(',
    replace: 'if (source < 0 && guard.forbids(',
  },
  { rule: 'ES-390', file: packets, find: "undirected ? 'ES-390' : 'ES-391'", replace: "'ES-391'" },
  {
    rule: 'ES-190',
    file: packets,
    find: "if (owner.class === 'forwarding') return true",
    replace: 'if (owner.class) return true',
  },
  // VLANs.
  {
    rule: 'ES-531',
    file: vlans,
    find: 'return tag === 0 || tag === own ? own : BLOCKED',
    replace: 'return tag === 0 || tag === own ? own : tag',
  },
  {
    rule: 'ES-533',
    file: vlans,
    find: 'if (tag === 0) return ports.vlan(source) // ES-533;',
    replace: 'if (tag === 0) return 0 //',
  },
  { rule: 'ES-534', file: vlans, find: 'return ports.vlanInSet(source, tag) ? tag : BLOCKED', replace: 'return tag' },
  {
    rule: 'ES-538',
    file: vlans,
    find: 'return vlan === primary || vlan === ports.vlanSecondary(port)',
    replace: 'return vlan === primary',
  },
  {
    rule: 'ES-539',
    file: vlans,
    find: 'return vlan === primary || ports.vlanInSet(port, vlan) // ES-539',
    replace: 'return vlan === primary',
  },
  {
    rule: 'ES-535',
    file: 'src/switch/policies/port-effects.ts',
    find: 'pruned ? NO_VLAN : vlan.nativeVlanId',
    replace: 'vlan.nativeVlanId',
  },
]
