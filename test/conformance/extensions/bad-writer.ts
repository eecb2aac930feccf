// A forwarding extension that writes behind the API: source, NativeForwardingRequired, destinations.
import { defineExtension } from 'vmswitch/extension'

export default defineExtension({
  id: '308aa320-ee7f-535f-aef9-4cf339ae6bf1',
  name: 'bad-writer',
  version: '1.0.0',
  class: 'forwarding',
  attach: (sw) => ({
    ingress(batch) {
      for (let i = 0; i < batch.length; i++) {
        const slot = batch.slots[i]!
        batch.pool.sourcePort[slot] = 0 // ES-371
        batch.pool.flags[slot] = 0xffff_ffff // ES-438
        batch.pool.destination[slot] = 1 // ES-421
        batch.drop(i, '') // ES-360
        batch.drop(i, 'again') // ES-066
      }
    },
    pause() {
      sw.release(sw.originate(new Uint8Array(60))) // ES-055
    },
  }),
})
