// A forwarding extension that leaves packets without a destination, directs them to ports that are gone or never were, and on egress.
import { defineExtension, type NicParameters, Oid } from 'vmswitch/extension'

export default defineExtension({
  id: 'd96a7ec9-36a2-5e3d-bfd5-d45e554de17d',
  name: 'bad-forwarding',
  version: '1.0.0',
  class: 'forwarding',
  attach(sw) {
    const ports = new Set<number>()
    let turn = 0
    return {
      ingress(batch) {
        for (let i = 0; i < batch.length; i++) {
          turn++
          if (turn % 3 === 0) continue // ES-317
          if (turn % 3 === 1) batch.addDestination(i, 60000) // ES-441
          for (const port of ports) batch.addDestination(i, port) // ES-320 after NIC_DISCONNECT
        }
      },
      egress(batch) {
        batch.addDestination(0, 1) // ES-328
      },
      oid({ oid, payload }) {
        if (oid === Oid.nicConnect && sw.processor === 0) ports.add((payload as NicParameters).portId)
        return undefined
      },
    }
  },
})
