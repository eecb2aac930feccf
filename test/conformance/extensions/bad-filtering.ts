// A filtering extension that directs packets, changes them on egress, and goes on with a batch after its handler returned.
import { type Batch, defineExtension } from 'vmswitch/extension'

export default defineExtension({
  id: 'd2b3be03-31f9-5e5c-8288-97b92f7f7043',
  name: 'bad-filtering',
  version: '1.0.0',
  class: 'filtering',
  attach(sw) {
    let kept: Batch | undefined
    sw.every(5, () => kept?.drop(0, 'too late')) // ES-066
    return {
      ingress(batch) {
        for (let i = 0; i < batch.length; i++) batch.addDestination(i, 1) // ES-315
        kept = batch
      },
      egress(batch) {
        for (let i = 0; i < batch.length; i++) batch.setU8(i, 12, 1) // ES-347
      },
    }
  },
})
