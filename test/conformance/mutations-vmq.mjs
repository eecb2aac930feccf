// Small ways to break rules of receive queues; see mutations.mjs.

const queues = 'src/adapter/queues'

export const vmqMutations = [
  // Two readers at a time: the threads of queue-memory.test.ts notice too.
  {
    rule: 'VQ-031',
    file: `${queues}/queue-table.ts`,
    find: 'Atomics.compareExchange(this.words, at, 0, mine) === 0',
    replace: 'at > 0',
  },
  {
    rule: 'VQ-016',
    file: 'src/adapter/keywords.ts',
    find: 'return { sriov, vmq, rss: false, vlanFiltering, rssOnHostVPorts }',
    replace: 'return { sriov, vmq, rss: true, vlanFiltering, rssOnHostVPorts }',
  },
  {
    rule: 'VQ-032',
    file: `${queues}/interrupt-vectors.ts`,
    find: 'return this.vectorOf(processor) + 1',
    replace: 'return this.#entries.size + 1',
  },
  {
    rule: 'VQ-046',
    file: `${queues}/receive-queues.ts`,
    find: 'if (parameters.lookaheadSize !== 0) return bad',
    replace: 'void bad',
  },
  {
    rule: 'VQ-052',
    file: `${queues}/queue-handlers.ts`,
    find: 'queue !== undefined && queue.owner === c.driver',
    replace: 'queue !== undefined && c !== undefined',
  },
  {
    rule: 'VQ-058',
    file: `${queues}/queue-states.ts`,
    find: "'allocation-complete': { allocated: 'paused', set: 'running' }",
    replace: "'allocation-complete': { allocated: 'running', set: 'running' }",
  },
  {
    rule: 'VQ-062',
    file: `${queues}/queue-states.ts`,
    find: "free: { allocated: 'dma-stopped', paused: 'dma-stopped' }",
    replace: "free: { allocated: 'dma-stopped', paused: 'dma-stopped', set: 'dma-stopped' }",
  },
  {
    rule: 'VQ-066',
    file: `${queues}/software-queues.ts`,
    find: 'if (last) await this.#pause(filter.queue)',
    replace: 'void last',
  },
  {
    rule: 'VQ-071',
    file: `${queues}/receive-queues.ts`,
    find: 'next = { ...next, queueName: wanted.queueName }',
    replace: 'next = { ...next, queueName: wanted.queueName, vmName: wanted.vmName }',
  },
  {
    rule: 'VQ-076',
    file: `${queues}/queue-handlers.ts`,
    find: "type === 'query' ? c.driver : undefined",
    replace: 'c.driver || type',
  },
  {
    rule: 'VQ-080',
    file: `${queues}/queue-handlers.ts`,
    find: 'const { qosSqId: _, ...revision2 } = queue.parameters',
    replace: 'const revision2 = queue.parameters',
  },
  { rule: 'VQ-090', file: `${queues}/queue-filter-table.ts`, find: 'any <= 0 || exact < any ? exact : any', replace: 'exact' },
  {
    rule: 'VQ-091',
    file: `${queues}/queue-classifier.ts`,
    find: 'pool.vlan[slot]! & VLAN_MASK : 0',
    replace: 'pool.vlan[slot]! & 0 : 0',
  },
  { rule: 'VQ-105', file: `${queues}/queue-path.ts`, find: 'queues.alone(queue) ? ALONE : HERE', replace: 'HERE' },
  { rule: 'VQ-106', file: `${queues}/queue-path.ts`, find: 'if (single) flags |= singleQueue', replace: 'void single' },
  {
    rule: 'VQ-110',
    file: `${queues}/queue-memory.ts`,
    find: 'pool.sharedMemory[slot] = queues.handle(queue)',
    replace: 'pool.sharedMemory[slot] = 0',
  },
  {
    rule: 'VQ-114',
    file: `${queues}/queue-path.ts`,
    find: 'return this.components.tables.queues.isEmpty(queue) ? this.usual[queue]! : AWAY',
    replace: 'return this.usual[queue]!',
  },
  {
    rule: 'VQ-115',
    file: `${queues}/queue-path.ts`,
    find: 'if (receiveQueue[slots[i]!] !== queue) return false',
    replace: 'void i',
  },
  {
    rule: 'VQ-122',
    file: `${queues}/queue-transmit.ts`,
    find: 'single ? SendCompleteFlag.singleQueue : 0',
    replace: 'single ? SendCompleteFlag.singleQueue : SendCompleteFlag.singleQueue',
  },
  {
    rule: 'VQ-123',
    file: `${queues}/queue-transmit.ts`,
    find: 'return state === absent || state === dmaStopped ? 0 : id',
    replace: 'return id',
  },
  {
    rule: 'VQ-126',
    file: `${queues}/queue-handlers.ts`,
    find: 'c.indicate(AdapterStatus.receiveQueueState, buffer)',
    replace: 'void buffer',
  },
  {
    rule: 'VQ-127',
    file: `${queues}/queue-handlers.ts`,
    find: "if (queue.state !== 'dma-stopped') return",
    replace: 'void queue',
  },
  {
    rule: 'VQ-128',
    file: `${queues}/software-queues.ts`,
    find: 'await queues.passed(queue.id, queues.tail(queue.id), () => this.#discard(queue.id)) // VQ-128',
    replace: 'this.#discard(queue.id)',
  },
  { rule: 'VQ-129', file: `${queues}/software-queues.ts`, find: 'this.#freeMemory(queue) // VQ-129', replace: 'void queue' },
  {
    rule: 'VQ-134',
    file: `${queues}/queue-mode.ts`,
    find: 'if (!removed) await this.#freeAll()',
    replace: 'if (removed) await this.#freeAll()',
  },
  { rule: 'VQ-161', file: 'src/adapter/inner-frame.ts', find: '!== ETHERNET_IN_GRE) return -1', replace: '=== 0) return -1' },
  {
    rule: 'VQ-169',
    file: `${queues}/encapsulation.ts`,
    find: 'return this.headerBytes <= LIMIT',
    replace: 'return this.headerBytes <= 2 * LIMIT',
  },
  {
    rule: 'VQ-173',
    file: `${queues}/encapsulated-lso.ts`,
    find: 'for (const ip of [outer, inner])',
    replace: 'for (const ip of [inner])',
  },
  {
    rule: 'VQ-175',
    file: `${queues}/encapsulated-lso.ts`,
    find: 'view.getUint16(ip + 4) + index',
    replace: 'view.getUint16(ip + 4)',
  },
  {
    rule: 'PD-19',
    file: `${queues}/software-queues.ts`,
    find: 'if (!complete) return NdisStatus.success // PD-19',
    replace: '// PD-19',
  },
  {
    rule: 'SR-129',
    file: 'src/adapter/adapter.ts',
    find: 'if (this.#queues?.inUse) return { status: NdisStatus.failure }',
    replace: 'void this.#queues?.inUse',
  },
]
