// A first extension: TCP to port 23 does not pass.
import { defineExtension } from 'vmswitch/extension'

export default defineExtension({
  id: '0b7c8a52-9d0e-4c0e-8a57-6a1f0c6d2b11',
  name: 'block-telnet',
  version: '1.0.0',
  class: 'filtering',
  attach(sw) {
    const telnet = sw.registerReason('telnet')
    return {
      ingress(batch) {
        for (let i = 0; i < batch.length; i++) if (batch.isTcp(i) && batch.destinationPort(i) === 23) batch.drop(i, telnet)
      },
    }
  },
})
