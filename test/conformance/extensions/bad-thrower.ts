// A filtering extension that throws on the packet that it did not expect.
import { defineExtension } from 'vmswitch/extension'

export default defineExtension({
  id: '17e4eb50-83c9-5e8f-b736-f20a2426634c',
  name: 'bad-thrower',
  version: '1.0.0',
  class: 'filtering',
  attach: () => ({
    ingress(batch) {
      for (let i = 0; i < batch.length; i++) if (batch.isIpv6(i)) throw new Error('no such protocol')
    },
  }),
})
