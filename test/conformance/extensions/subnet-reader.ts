// A filtering extension that says of which virtual subnet test frames are.
import { defineExtension } from 'vmswitch/extension'

const TEST_TYPE = 0x88b5

export default defineExtension({
  id: '0d3c1f9f-0021-4c56-9b7e-7b0b6d0e5f21',
  name: 'subnet-reader',
  version: '1.0.0',
  class: 'filtering',
  attach: (sw) => ({
    ingress(batch) {
      for (let i = 0; i < batch.length; i++) if (batch.etherType(i) === TEST_TYPE) sw.log(`subnet ${batch.virtualSubnetId(i)}`)
    },
  }),
})
