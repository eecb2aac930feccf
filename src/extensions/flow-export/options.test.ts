import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseFlowExportOptions } from './options.ts'

const collectors = '192.0.2.1'

test('collectors are addresses of both families, with or without a port', () => {
  const list = ['192.0.2.1', '192.0.2.1:99', '2001:db8::1', '[2001:db8::1]', '[2001:db8::1]:2055']
  const { ipfix, sflow } = parseFlowExportOptions({ ipfix: { collectors: list }, sflow: { collectors, agent: '::1' } })
  assert.deepEqual(
    ipfix!.collectors.map(({ address, port }) => `${address} ${port}`),
    ['192.0.2.1 4739', '192.0.2.1 99', '2001:db8::1 4739', '2001:db8::1 4739', '2001:db8::1 2055'],
  )
  assert.deepEqual([sflow!.collectors[0]!.port, sflow!.agent.length], [6343, 16])
})

test('messages are as long as the MTU lets them, less the headers of the family that has the longer ones', () => {
  assert.equal(parseFlowExportOptions({ ipfix: { collectors, mtu: 1500 } }).ipfix!.messageBytes, 1472)
  assert.equal(parseFlowExportOptions({ ipfix: { collectors: [collectors, '::1'], mtu: 1500 } }).ipfix!.messageBytes, 1452)
  assert.equal(parseFlowExportOptions({ ipfix: { collectors, mtu: 65535 } }).ipfix!.messageBytes, 65507)
})

const wrong: readonly (readonly [object, RegExp])[] = [
  [{}, /there is nothing to send: write "ipfix" or "sflow"/],
  [{ netflow: {} }, /netflow: there is no such option; known are ipfix, sflow/],
  [{ ipfix: {} }, /ipfix.collectors: are 0: write 1 to 8, like 192.0.2.1:4739/],
  [{ ipfix: { collectors: ['collector.example'] } }, /ipfix.collectors\[0\]: "collector.example" is no collector/],
  [{ ipfix: { collectors: ['192.0.2.1:0'] } }, /is no collector/],
  [{ ipfix: { collectors: ['192.0.2.300'] } }, /is no collector/],
  [{ ipfix: { collectors: Array.from({ length: 9 }, () => collectors) } }, /are 9/],
  [{ ipfix: { collectors, activeTimeout: 0 } }, /ipfix.activeTimeout: 0 is not a whole number from 1/],
  [{ ipfix: { collectors, mtu: 100 } }, /ipfix.mtu: 100 is not a whole number from 576/],
  [{ ipfix: { collectors, direction: 'in' } }, /ipfix.direction: "in" is not one of ingress, egress, both/],
  [{ sflow: { collectors } }, /sflow.agent: is missing: write the IP address/],
  [{ sflow: { collectors, agent: 'me' } }, /sflow.agent: "me" is no address/],
  [{ sflow: { collectors, agent: '::1', mtu: 576, headerBytes: 512 } }, /sflow.headerBytes: 512 bytes of a header don't fit/],
]

test('options that are wrong are refused with what would be right', () => {
  for (const [options, message] of wrong) assert.throws(() => parseFlowExportOptions(options), { message })
})
