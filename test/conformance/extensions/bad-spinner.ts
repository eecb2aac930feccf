// A filtering extension that does not return.
import { defineExtension } from 'vmswitch/extension'

export default defineExtension({
  id: '5b3f5e0d-d4bd-5527-862a-b7979d50168b',
  name: 'bad-spinner',
  version: '1.0.0',
  class: 'filtering',
  attach: () => ({
    ingress(batch) {
      while (batch.length > 0);
    },
  }),
})
