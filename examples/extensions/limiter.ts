// Limits how many frames a second each port may send: a property that management sets, checked and described, and data that goes along with a port
// that moves.
import {
  defineExtension,
  NdisStatus,
  type NicRestoreState,
  type NicSaveComplete,
  type NicSaveRequest,
  NO_GUID,
  Oid,
  type PortParameters,
  type PortPropertyDeleteParameters,
  type PortPropertyParameters,
  PortPropertyType,
  type PropertyEnumeration,
  SAVE_DATA_OFFSET,
} from 'vmswitch/extension'

const ID = '5d1f0a3e-6b0c-4f57-8a54-3c1b7e9d2f13'
const RATE_LIMIT = '5d1f0a3e-6b0c-4f57-8a54-3c1b7e9d2f14'
const PORT_IDS = 65_536

// A limit as the table has it: negative where frames beyond it are counted only.
const limitOf = (property: unknown): number => {
  const { perSecond, over } = property as { perSecond: number; over: 'drop' | 'count' }
  return over === 'drop' ? perSecond : -perSecond
}

export default defineExtension({
  id: ID,
  name: 'limiter',
  version: '1.0.0',
  class: 'filtering',
  description: 'Limits how many frames a second a port may send',
  // Two words for each port: its limit, 0 without one, and what it was refused in all.
  shared: () => ({ ports: PORT_IDS * 8 }),
  properties: {
    [RATE_LIMIT]: {
      name: 'rate-limit',
      version: '1.0',
      scope: 'port',
      fields: [
        { name: 'perSecond', type: 'integer', min: 1, max: 1_000_000, required: true, description: 'Frames a second.' },
        { name: 'over', type: 'choice', choices: ['drop', 'count'], default: 'drop' },
      ],
    },
  },
  attach(sw) {
    const ports = sw.shared('ports')
    const over = sw.registerReason('limiter: over the limit')
    // Of this processor: its part of each limit, since what it serves is a part of each port's frames.
    const tokens = new Float64Array(PORT_IDS).fill(Number.POSITIVE_INFINITY) // full
    const filledAt = new Float64Array(PORT_IDS)
    const saved = new Set<number>()

    const set = (portId: number, limit: number): void => void Atomics.store(ports, portId * 2, limit)

    return {
      ingress(batch) {
        const now = sw.now()
        for (let i = 0; i < batch.length; i++) {
          const port = batch.sourcePortId(i)
          const limit = ports[port * 2]!
          if (limit === 0 || port === 0) continue // port 0: an extension made it
          const rate = Math.abs(limit) / sw.processors
          const have = Math.min(Math.max(1, rate), tokens[port]! + ((now - filledAt[port]!) * rate) / 1000)
          filledAt[port] = now
          tokens[port] = Math.max(0, have - 1)
          if (have >= 1) continue
          Atomics.add(ports, port * 2 + 1, 1)
          if (limit > 0) batch.drop(i, over)
        }
      },

      oid({ oid, payload }) {
        if (oid === Oid.portTeardown)
          ports.fill(0, (payload as PortParameters).portId * 2, ((payload as PortParameters).portId + 1) * 2)
        if (oid === Oid.nicSave) {
          const { portId, saveDataSize } = payload as NicSaveRequest
          if (saved.has(portId)) return undefined // there is nothing (more)
          const saveData = new Uint8Array(4)
          new DataView(saveData.buffer).setInt32(0, ports[portId * 2 + 1]!)
          if (saveData.length > saveDataSize)
            return { status: NdisStatus.bufferTooShort, bytesNeeded: SAVE_DATA_OFFSET + saveData.length }
          saved.add(portId)
          const output = { extensionId: ID, extensionFriendlyName: 'limiter', featureClassId: NO_GUID, saveData }
          return { status: NdisStatus.success, output }
        }
        if (oid === Oid.nicSaveComplete) saved.delete((payload as NicSaveComplete).portId)
        if (oid === Oid.nicRestore) {
          const { portId, extensionId, saveData } = payload as NicRestoreState // the port's id may be another one now (ES-483)
          if (extensionId !== ID) return undefined // not its own: forward (ES-482)
          if (saveData.length !== 4) return { status: NdisStatus.invalidData }
          Atomics.store(ports, portId * 2 + 1, new DataView(saveData.buffer, saveData.byteOffset).getInt32(0))
          return { status: NdisStatus.success }
        }
        return undefined
      },

      // A property counts when nobody below has refused it.
      oidComplete({ oid, payload }, { status }) {
        if (status !== NdisStatus.success) return
        if (oid === Oid.portPropertyAdd || oid === Oid.portPropertyUpdate) {
          const { portId, propertyId, property } = payload as PortPropertyParameters
          if (propertyId === RATE_LIMIT) set(portId, limitOf(property))
        }
        if (oid === Oid.portPropertyDelete) {
          const { portId, propertyId } = payload as PortPropertyDeleteParameters
          if (propertyId === RATE_LIMIT) set(portId, 0)
        }
      },

      // Limits that are older than this module: nobody tells of them again.
      async restart() {
        if (sw.processor !== 0 || !sw.parameters().isActive) return
        await sw.query(Oid.switchParameters) // ES-073
        for (const { portId } of sw.ports()) {
          if (sw.referencePort(portId) !== NdisStatus.success) continue // ES-141
          const asked = { portId, propertyType: PortPropertyType.custom, propertyId: RATE_LIMIT }
          const { output } = await sw.query(Oid.portPropertyEnum, asked)
          const [found] = (output as PropertyEnumeration | undefined)?.properties ?? []
          if (found) set(portId, limitOf(found.property))
          sw.dereferencePort(portId) // ES-142
        }
      },
    }
  },
})
