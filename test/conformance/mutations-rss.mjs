// Small ways to break rules of RSS on VPorts; see mutations.mjs.

const rss = 'src/adapter/rss'

export const rssMutations = [
  {
    rule: 'VQ-162',
    file: `${rss}/receive-hash.ts`,
    find: 'inner.parse(slot) && inner.transport >= 0',
    replace: 'inner.parse(slot) && inner.transport >= 1e9',
  },
  {
    rule: 'VQ-179',
    file: 'src/adapter/capabilities.ts',
    find: 'limits.rss !== undefined && selection.rssOnHostVPorts === true',
    replace: 'limits.rss !== undefined',
  },
  {
    rule: 'VQ-186',
    file: `${rss}/vmmq.ts`,
    find: 'return restrictedEntries(queues)',
    replace: 'void queues',
  },
  {
    rule: 'VQ-193',
    file: `${rss}/vport-rss.ts`,
    find: 'const first = Math.min(...affinity)',
    replace: 'const first = affinity[0]',
  },
  {
    rule: 'VQ-202',
    file: `${rss}/vmmq.ts`,
    find: 'if (queues < vport.queues) await',
    replace: 'if (queues < 0) await',
  },
  {
    rule: 'VQ-206',
    file: `${rss}/rss-steering.ts`,
    find: 'hashInfo[slot] = hash.type | TOEPLITZ',
    replace: 'hashInfo[slot] = hash.type',
  },
  {
    rule: 'SR-236',
    file: `${rss}/rss-steering.ts`,
    find: 'this.table.moderationUs(vport)',
    replace: '20',
  },
  {
    rule: 'VQ-207',
    file: `${rss}/rss-steering.ts`,
    find: 'targets[i] = hashInfo[slot] === 0 ? fallback : table.entry(vport, hashValue[slot]!)',
    replace: 'targets[i] = hashInfo[slot]! + hashValue[slot]! < 0 ? 0 : fallback',
  },
  {
    rule: 'VQ-213',
    file: `${rss}/entry-moves.ts`,
    find: 'processorsOnTheWay(from.table, direct) <= queues',
    replace: 'processorsOnTheWay(from.table, direct) <= 2 * queues',
  },
  {
    rule: 'VQ-220',
    file: `${rss}/adapter-rss.ts`,
    find: 'if (request.vPortId !== undefined) return invalid // VQ-220: every entry names its own',
    replace: '',
  },
  {
    rule: 'VQ-225',
    file: `${rss}/adapter-rss.ts`,
    find: 'while (end < entries.length && sameVPort(entries[first]!, entries[end]!)) end++',
    replace: '',
  },
  {
    rule: 'VQ-227',
    file: 'src/adapter/adapter.ts',
    find: 'this.#synchronous = true',
    replace: 'this.#synchronous = false',
  },
  {
    rule: 'VQ-230',
    file: 'src/adapter/software-pf.ts',
    find: 'this.#programming.remove(vportId) // SR-189, SR-190: from here on nothing passes',
    replace: 'if (this.rss?.state(vportId)?.enabled) return NdisStatus.failure',
  },
]
