// A learning switch, whole: an address is at the port where it was last seen as a source; frames to an address that is not known, and to groups, go
// to all ports but their own. The one to begin with for a forwarding extension.
import {
  defineExtension,
  NdisStatus,
  type NicParameters,
  NicState,
  Oid,
  type PortPropertyParameters,
  PortPropertyType,
} from 'vmswitch/extension'

const ENTRIES = 4096 // addresses that are known at a time; a power of two
const PORT_IDS = 65_536

export default defineExtension({
  id: '5d1f0a3e-6b0c-4f57-8a54-3c1b7e9d2f12',
  name: 'learning-switch',
  version: '1.0.0',
  class: 'forwarding',
  // The instances of all processors share what they know: of an address two words, of a port its NIC index and 1, 0 where nobody is connected.
  shared: () => ({ addresses: ENTRIES * 8, connected: PORT_IDS * 4 }),
  attach(sw) {
    const addresses = sw.shared('addresses')
    const connected = sw.shared('connected') // word 0: the highest port there was
    const nobody = sw.registerReason('learning-switch: nobody to send to')

    const connect = ({ portId, nicIndex }: NicParameters): void => {
      Atomics.store(connected, portId, nicIndex + 1)
      if (portId > connected[0]!) Atomics.store(connected, 0, portId)
    }
    for (const nic of sw.nics()) if (nic.nicState === NicState.connected) connect(nic)

    const placeOf = (high: number, low: number): number => ((Math.imul(low ^ high, 0x9e3779b1) >>> 16) & (ENTRIES - 1)) * 2
    const learn = (high: number, low: number, port: number): void => {
      const at = placeOf(high, low)
      const where = (high << 16) | port
      if (addresses[at + 1] === where && addresses[at] === (low | 0)) return
      Atomics.store(addresses, at + 1, 0) // who reads meanwhile finds nothing
      Atomics.store(addresses, at, low)
      Atomics.store(addresses, at + 1, where)
    }
    const find = (high: number, low: number): number => {
      const at = placeOf(high, low)
      const where = Atomics.load(addresses, at + 1)
      const isIt = Atomics.load(addresses, at) === (low | 0) && where >>> 16 === high && Atomics.load(addresses, at + 1) === where
      return isIt ? where & 0xffff : 0
    }

    return {
      ingress(batch) {
        for (let i = 0; i < batch.length; i++) {
          if (batch.isNativeForwardingRequired(i)) continue // the switch forwards these itself
          const source = batch.sourcePortId(i)
          const high = batch.sourceMacHigh(i)
          const learns = source !== 0 && (high & 0x100) === 0 && !batch.isTraced // 0: an extension made it
          if (learns) learn(high, batch.sourceMacLow(i), source)
          const known = batch.isMulticast(i) ? 0 : find(batch.destinationMacHigh(i), batch.destinationMacLow(i))
          const target = connected[known] === 0 ? 0 : known // it is gone: whoever has the address now may be anywhere
          let sent = 0
          for (let port = target || 1; port <= (target || connected[0]!); port++) {
            const nic = Atomics.load(connected, port)
            if (port !== source && nic !== 0 && batch.addDestination(i, port, nic - 1, true, true)) sent++ // ES-316, ES-320
          }
          if (sent === 0) batch.drop(i, nobody) // ES-317
        }
      },
      oid({ oid, payload }) {
        if (oid === Oid.nicDisconnect) Atomics.store(connected, (payload as NicParameters).portId, 0) // before it goes on (ES-320)
        // It keeps no VLANs apart and checks no senders, and does not say so (ES-499).
        const isPromise = oid === Oid.portPropertyAdd || oid === Oid.portPropertyUpdate
        if (!isPromise || (payload as PortPropertyParameters).propertyType === PortPropertyType.custom) return undefined
        const isVlan = (payload as PortPropertyParameters).propertyType === PortPropertyType.vlan
        return { status: isVlan ? NdisStatus.dataNotAccepted : NdisStatus.notSupported }
      },
      oidComplete({ oid, payload }, { status }) {
        if (oid === Oid.nicConnect && status === NdisStatus.success) connect(payload as NicParameters) // not before (spec 3.2)
      },
    }
  },
})
