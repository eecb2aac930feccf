import assert from 'node:assert/strict'
import { test } from 'node:test'
import blockTelnet from '../../examples/extensions/block-telnet.ts'
import { ExtensionHost } from '../../test/support/extension-host.ts'
import { tcpFrame, udpFrame } from '../packet/build.ts'

test('the first example drops TCP to port 23 and nothing else', async () => {
  const host = new ExtensionHost([{ definition: blockTelnet }])
  const pair = {
    sourceMac: '02:00:00:00:00:01',
    destinationMac: '02:00:00:00:00:02',
    source: '10.0.0.1',
    destination: '10.0.0.2',
  }
  await host.addPorts('a', { name: 'b', mac: pair.destinationMac })
  host.send('a', tcpFrame(pair, 4000, 23), tcpFrame(pair, 23, 4000), udpFrame(pair, 4000, 23))
  assert.equal(host.delivered('b').length, 2)
  assert.equal(host.dropped('a', 'telnet'), 1)
})
