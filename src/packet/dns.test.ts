import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DNS_HEADER_BYTES, DnsCode, DnsType, dnsNameBytes, dnsTarget, readDnsMessage, readDnsName, writeDnsReply } from './dns.ts'

const question = (name: string, type: number, extra: readonly number[] = [], counts = [0, 0, 0]): Uint8Array => {
  const owner = Array.from(dnsNameBytes(name))
  const header = [0x12, 0x34, 1, 0, 0, 1, 0, counts[0]!, 0, counts[1]!, 0, counts[2]!]
  return Uint8Array.from([...header, ...owner, 0, type, 0, 1, ...extra])
}

test('a question is read in lower case, and answered with its letters as they were', () => {
  const asked = question('WwW.ExAmple.org', DnsType.a)
  const query = readDnsMessage(asked, 0, asked.length)!
  assert.deepEqual([query.id, query.question.name, query.question.type], [0x1234, 'www.example.org', 1])
  const answer = { type: DnsType.a, ttl: 60, data: Uint8Array.of(192, 0, 2, 1) }
  const reply = writeDnsReply(asked, 0, query, { code: 0, isAuthoritative: true, answers: [answer] }, 512, 1232)
  assert.deepEqual(reply.subarray(12, query.question.next), asked.subarray(12))
  const read = readDnsMessage(reply, 0, reply.length)!
  assert.ok(read.isResponse)
  assert.deepEqual(
    read.answers.map(({ name, ttl, dataLength }) => [name, ttl, dataLength]),
    [['www.example.org', 60, 4]],
  )
})

test('an answer that has no room is cut to the question and says so; OPT is answered by OPT', () => {
  const asked = question('a.b', DnsType.txt, [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0], [0, 0, 1])
  const query = readDnsMessage(asked, 0, asked.length)!
  assert.deepEqual(query.extended, { payloadBytes: 1232, version: 0 })
  const answers = [{ type: DnsType.txt, ttl: 1, data: new Uint8Array(600) }]
  const reply = writeDnsReply(asked, 0, query, { code: 0, isAuthoritative: true, answers }, 512, 1232)
  assert.equal(reply[2]! & 2, 2)
  assert.equal(reply.length, asked.length)
  const bad = writeDnsReply(asked, 0, query, { code: DnsCode.badVersion, isAuthoritative: false, answers: [] }, 512, 1232)
  assert.equal(bad[bad.length - 6], 1) // the upper bits of the code
})

test('pointers that lead forwards, to themselves, into the header or round are not followed', () => {
  for (const pointer of [12, 13, 0, 40]) {
    const message = question('a', DnsType.a)
    message.set([0xc0, pointer], 12)
    assert.equal(readDnsName(message, 12, 0, message.length), undefined, `${pointer}`)
  }
  const round = Uint8Array.from([...new Uint8Array(12), 1, 97, 0xc0, 16, 0xc0, 12])
  assert.equal(readDnsName(round, 12, 0, round.length), undefined)
  assert.equal(readDnsName(round, 16, 0, round.length), undefined)
})

test('a dot within a label does not make two labels of it', () => {
  const message = Uint8Array.from([...new Uint8Array(12), 3, 97, 46, 98, 0])
  assert.equal(readDnsName(message, 12, 0, message.length)!.name, 'a\\046b')
})

test('whatever bytes come, reading ends within them and throws nothing', () => {
  const bytes = fc.uint8Array({ maxLength: 120 })
  fc.assert(
    fc.property(bytes, fc.nat(120), (tail, cut) => {
      const message = Uint8Array.from([0, 1, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 1, ...tail])
      for (const end of [message.length, Math.min(cut, message.length)]) {
        const read = readDnsMessage(message, 0, end)
        if (!read) continue
        assert.ok(read.question.name.length <= 4 * 255)
        for (const record of read.answers) {
          assert.ok(record.dataAt + record.dataLength <= end)
          dnsTarget(message, record, 0, end)
        }
      }
    }),
    { numRuns: 2000 },
  )
})

test('a name that was written is read back', () => {
  const label = fc.stringMatching(/^[a-z0-9-]{1,20}$/)
  fc.assert(
    fc.property(fc.array(label, { maxLength: 8 }), (labels) => {
      const bytes = Uint8Array.from([...new Uint8Array(DNS_HEADER_BYTES), ...dnsNameBytes(labels.join('.'))])
      assert.deepEqual(readDnsName(bytes, 12, 0, bytes.length), { name: labels.join('.'), next: bytes.length })
    }),
  )
  assert.throws(() => dnsNameBytes('a..b'), RangeError)
  assert.throws(() => dnsNameBytes(`${'a'.repeat(64)}.b`), RangeError)
})
