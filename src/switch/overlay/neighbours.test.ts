import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatMac, parseMac } from '../../packet/addresses.ts'
import { arpRequestFrame, echoFrame, ipBytes } from '../../packet/build.ts'
import { get16 } from '../../packet/bytes.ts'
import { internetChecksum, transportChecksum } from '../../packet/checksum.ts'
import { NEIGHBOUR_FRESH_MS, ProviderNeighbours } from './neighbours.ts'

const OWN = '02:50:00:00:00:01'
const PEER = '02:50:00:00:00:02'

function start(own: string, prefixLength: number, gateway?: string) {
  const sent: Uint8Array[] = []
  const told: string[] = []
  const sut = new ProviderNeighbours(
    {
      mac: parseMac(OWN),
      links: [{ address: ipBytes(own), prefixLength, gateway: gateway === undefined ? undefined : ipBytes(gateway) }],
    },
    { send: (frame) => sent.push(frame), resolved: (peer, mac) => told.push(`${peer} ${mac && formatMac(mac)}`) },
  )
  return { sut, sent, told }
}

// The peer's answer to a question of the switch.
function answerTo(question: Uint8Array): Uint8Array {
  const { sut, sent } = start(question[12] === 8 ? '192.0.2.2' : '2001:db8::2', 24)
  const other = Buffer.from(question)
  sut.heard(other, 0)
  const answer = Buffer.from(sent[0]!)
  answer.set(parseMac(PEER), 6)
  if (answer[12] === 8) answer.set(parseMac(PEER), 22)
  else {
    answer.set(parseMac(PEER), 80)
    answer.set([0, 0], 56)
    const sum = transportChecksum(answer, 14, 58, 54, answer.length)
    answer.set([sum >> 8, sum & 255], 56)
  }
  return answer
}

for (const [own, peer] of [
  ['192.0.2.1', '192.0.2.2'],
  ['2001:db8::1', '2001:db8::2'],
] as const)
  test(`finds the way to ${peer}, asks again while it is quiet, and gives it up when it stays so`, () => {
    const { sut, sent, told } = start(own, 24)
    sut.add(4, ipBytes(peer), 0)
    assert.equal(sent.length, 1)
    sut.run(500)
    assert.equal(sent.length, 1)
    sut.run(1000)
    assert.equal(sent.length, 2)
    sut.heard(answerTo(sent[0]!), 1100)
    assert.deepEqual(told, [`4 ${PEER}`])
    assert.equal(formatMac(sut.nextHop(4)!), PEER)
    sut.run(1100 + NEIGHBOUR_FRESH_MS - 1)
    assert.equal(sent.length, 2)
    for (let now = 1100 + NEIGHBOUR_FRESH_MS; told.length === 1; now += 1000) sut.run(now)
    assert.deepEqual(told.at(-1), '4 undefined')
    assert.equal(sent.length, 6)
  })

test('a peer behind a gateway has its MAC address; without one no question is asked; who was not asked is not believed', () => {
  const routed = start('192.0.2.1', 24, '192.0.2.2')
  routed.sut.add(1, ipBytes('198.51.100.7'), 0)
  routed.sut.heard(answerTo(routed.sent[0]!), 10)
  assert.deepEqual(routed.told, [`1 ${PEER}`])
  const alone = start('192.0.2.1', 24)
  alone.sut.add(1, ipBytes('198.51.100.7'), 0)
  assert.deepEqual(alone.sent, [])
  alone.sut.heard(arpRequestFrame(PEER, '192.0.2.9', '192.0.2.1'), 0)
  assert.deepEqual(alone.told, [])
  assert.equal(get16(alone.sent[0]!, 20), 2, 'but it is answered')
})

test('an echo request for a provider address is answered with right checksums', () => {
  const { sut, sent } = start('192.0.2.1', 24)
  const asked = { sourceMac: PEER, destinationMac: OWN, source: '192.0.2.2', destination: '192.0.2.1' }
  sut.heard(echoFrame(asked, false, 1, 2, new Uint8Array(20)), 0)
  const [reply] = sent
  assert.equal(reply![34], 0)
  assert.equal(internetChecksum(reply!, 14, 34) | internetChecksum(reply!, 34, reply!.length), 0)
})
