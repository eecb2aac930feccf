// A filtering extension that uses handles twice, for what they are not good for, and some that it made up.
import { defineExtension } from 'vmswitch/extension'

export default defineExtension({
  id: '33035fa4-146b-5447-8566-0ac6dadc1179',
  name: 'bad-handles',
  version: '1.0.0',
  class: 'filtering',
  attach: (sw) => ({
    ingress(batch) {
      sw.referencePort(60000) // ES-442
      const clone = batch.clone(0)
      if (clone === 0) return
      sw.forward(clone) // ES-066: a clone is sent, not forwarded
      sw.release(clone)
      sw.release(clone) // ES-066: used up
      sw.send(0x3ffff) // ES-443
      const own = sw.originate(new Uint8Array(60))
      if (own === 0) return
      sw.setSource(own, 60000) // ES-440
      sw.release(own)
    },
  }),
})
