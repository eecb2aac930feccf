// Two modules of one extension: the owner makes a packet, the thief, below it, tries to do with the packet what its owner may.
import { defineExtension, ndisStatusName, type PacketHandle } from 'vmswitch/extension'

// One module of code for both, as for all modules of an extension on one processor.
let packet: PacketHandle = 0

export default defineExtension<{ role: 'owner' | 'thief' }>({
  id: '0a6f9d52-1c55-4f5e-8a3f-6f1b2c3d4e5f',
  name: 'handle-thief',
  version: '1.0.0',
  class: 'filtering',
  parseOptions: (raw) => raw as { role: 'owner' | 'thief' },
  attach: (sw, { role }) => ({
    ingress(batch) {
      if (role === 'owner' && packet === 0) packet = batch.clone(0)
      if (role === 'thief' && packet !== 0) {
        const tried = [sw.setSource(packet, 1), sw.send(packet), sw.forward(packet), sw.release(packet)]
        sw.log(tried.map(ndisStatusName).join(' '))
      }
    },
    egress() {
      if (role !== 'owner' || packet === 0) return
      sw.log(ndisStatusName(sw.release(packet)))
      packet = 0
    },
  }),
})
