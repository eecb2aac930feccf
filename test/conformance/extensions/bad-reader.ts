// A capturing extension that reads bytes that it was not given, and packets and destinations that are not there.
import { defineExtension } from 'vmswitch/extension'

export default defineExtension({
  id: '079ee475-6799-5cf9-ae71-a3fa0b625074',
  name: 'bad-reader',
  version: '1.0.0',
  class: 'capturing',
  attach: () => ({
    ingress(batch) {
      for (let i = 0; i <= batch.length; i++) batch.u8(i, batch.frameLength(i) - 1) // ES-093 and ES-399
    },
    egress(batch) {
      batch.destinationPortId(0, batch.destinationCount(0)) // ES-093
    },
  }),
})
