// A capturing extension that does everything that a capturing extension must not do.
import { defineExtension } from 'vmswitch/extension'

export default defineExtension({
  id: 'b4d00001-0a4f-4c57-9c41-7d7f3c2f6a01',
  name: 'bad-capturing',
  version: '1.0.0',
  class: 'capturing',
  attach: () => ({
    ingress(batch) {
      for (let i = 0; i < batch.length; i++) {
        batch.drop(i, 'because') // ES-306
        batch.setU8(i, 0, 1) // ES-307
        batch.addDestination(i, 1) // ES-412, and so ES-308
        batch.clone(i) // ES-310
      }
    },
    egress(batch) {
      for (let i = 0; i < batch.length; i++) batch.exclude(i, 0, 'because') // ES-309
    },
  }),
})
