import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OverlayError } from './options.ts'
import { type LookupChange, LookupRecords } from './records.ts'

const MAC = '02:00:00:00:00:01'
const record = (provider: string, mac = MAC, addresses: string[] = []) => ({ vsid: 5001, mac, addresses, provider })

function start() {
  const changes: LookupChange[] = []
  const sut = new LookupRecords({ kind: 'nvgre', own: ['192.0.2.1'] }, { changed: (change) => changes.push(change) })
  sut.setSubnet({ vsid: 5001, peers: [] })
  return { sut, last: () => changes.at(-1)! }
}
const code = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof OverlayError)
    return error.code
  }
  return 'none'
}

test('floods of a subnet go to the providers of its records and to those given, each once', () => {
  const { sut, last } = start()
  sut.set(record('192.0.2.2'))
  const [peer] = last().peers
  assert.equal(peer!.address, '192.0.2.2')
  assert.deepEqual(last().subnets[0]!.peers, [peer!.peer])
  sut.set(record('192.0.2.2', '02:00:00:00:00:02'))
  assert.deepEqual([last().peers, last().subnets], [[], []])
  sut.setSubnet({ vsid: 5001, peers: ['192.0.2.2', '192.0.2.3'] })
  assert.equal(last().subnets[0]!.peers!.length, 2)
})

test('a guest that moves takes its record along; a provider that nobody is behind is gone', () => {
  const { sut, last } = start()
  sut.set(record('192.0.2.2'))
  const before = last().peers[0]!.peer
  sut.set(record('2001:DB8::0002'))
  assert.deepEqual(last().gonePeers, [before])
  assert.equal(last().peers[0]!.address, '2001:db8::2')
  assert.equal(sut.size, 1)
  assert.equal(sut.remove({ vsid: 5001, mac: MAC.toUpperCase() }).provider, '2001:db8::2')
  assert.deepEqual([sut.size, last().gonePeers.length, last().subnets[0]!.peers], [0, 1, []])
})

test('what is wrong is refused with its code, and changes nothing', () => {
  const { sut } = start()
  const { generation } = sut
  assert.equal(
    code(() => sut.set({ ...record('192.0.2.2'), vsid: 6000 })),
    'no-such-subnet',
  )
  assert.equal(
    code(() => sut.set(record('192.0.2.1'))),
    'bad-overlay',
  )
  assert.equal(
    code(() => sut.set(record('224.0.0.1'))),
    'bad-overlay',
  )
  assert.equal(
    code(() => sut.set(record('192.0.2.2', '01:00:5e:00:00:01'))),
    'bad-overlay',
  )
  assert.equal(
    code(() => sut.set(record('192.0.2.2', MAC, ['10.0.0']))),
    'bad-overlay',
  )
  assert.equal(
    code(() => sut.setAll([record('192.0.2.2'), { ...record('192.0.2.2'), vsid: 6000 }])),
    'no-such-subnet',
  )
  assert.equal(
    code(() => sut.setSubnet({ vsid: 4095, peers: [] })),
    'bad-overlay',
  )
  assert.equal(
    code(() => sut.remove({ vsid: 5001, mac: MAC })),
    'no-such-record',
  )
  assert.deepEqual([sut.generation, sut.size], [generation, 0])
  sut.set(record('192.0.2.2'))
  assert.equal(
    code(() => sut.removeSubnet(5001)),
    'in-use',
  )
})
