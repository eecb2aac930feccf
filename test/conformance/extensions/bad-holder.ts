// A filtering extension that takes packets and never gives them back.
import { defineExtension } from 'vmswitch/extension'

export default defineExtension({
  id: '26e3b167-fc07-53df-b868-b5ab0a717933',
  name: 'bad-holder',
  version: '1.0.0',
  class: 'filtering',
  attach: () => ({
    ingress(batch) {
      for (let i = 0; i < batch.length; i += 9) batch.hold(i) // ES-056
    },
  }),
})
