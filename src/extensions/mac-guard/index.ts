// Drops frames whose source address is not one that their port may use.
//
// The rule it must not break: what cannot be checked is not passed as checked. A port without addresses follows the option
// `unknown`; one whose addresses are being changed is looked at again.
import { defineExtension, type NicParameters, NicState, NicType, Oid, type PortParameters, parseMac } from '../../extension.ts'
import { AddressTable, EXEMPT, REFUSED, TABLE_BYTES, UNKNOWN } from './address-table.ts'
import { type MacGuardOptions, parseMacGuardOptions } from './options.ts'

export const GuardCounter = { checked: 0, wrongSource: 1, groupSource: 2, zeroSource: 3, unknownPort: 4 } as const

export default defineExtension<MacGuardOptions>({
  id: '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a04',
  name: 'mac-guard',
  version: '1.0.0',
  class: 'filtering',
  description: 'Drops frames with forged source addresses',
  counters: ['checked', 'wrong-source', 'group-source', 'zero-source', 'unknown-port'],
  shared: () => ({ addresses: TABLE_BYTES }),
  parseOptions: parseMacGuardOptions,
  attach(sw, options) {
    const table = new AddressTable(sw.shared('addresses'))
    const wrongSource = sw.registerReason('mac-guard: wrong source address')
    const groupSource = sw.registerReason('mac-guard: group address as source')
    const zeroSource = sw.registerReason('mac-guard: source address zero')
    const unknownPort = sw.registerReason('mac-guard: port without addresses')
    const dropUnknown = options.unknown === 'drop'
    const { counters } = sw

    const learn = (nic: NicParameters): void => {
      const port = sw.ports().find(({ portId }) => portId === nic.portId)
      const name = port?.portName ?? nic.nicName
      const allowed = options.allow.get(name) ?? []
      const own = nic.currentMacAddress === '' ? [] : [parseMac(nic.currentMacAddress)]
      if (options.exempt.includes(name) || nic.nicType === NicType.external) table.mark(nic.portId, EXEMPT)
      else if (own.length + allowed.length === 0) table.mark(nic.portId, UNKNOWN)
      else table.guard(nic.portId, [...own, ...allowed])
    }
    if (sw.processor === 0) {
      table.clear()
      for (const nic of sw.nics()) if (nic.nicIndex === 0 && nic.nicState !== NicState.deleted) learn(nic)
    }

    return {
      ingress(batch) {
        let checked = 0
        let portBefore = 0
        let hasFirst = false
        for (let i = 0; i < batch.length; i++) {
          const port = batch.sourcePortId(i)
          if (port === 0) continue // ES-341: packets of extensions bypass port policies
          const high = batch.sourceMacHigh(i)
          const low = batch.sourceMacLow(i)
          checked++
          // Packets of a burst mostly come from one port, and from its own address.
          if (port !== portBefore) {
            portBefore = port
            hasFirst = table.readFirst(port)
          }
          if (hasFirst && low === table.firstLow && high === table.firstHigh) continue
          if ((high & 0x100) !== 0) {
            counters[GuardCounter.groupSource] = counters[GuardCounter.groupSource]! + 1
            batch.drop(i, groupSource)
            continue
          }
          if (high === 0 && low === 0) {
            counters[GuardCounter.zeroSource] = counters[GuardCounter.zeroSource]! + 1
            batch.drop(i, zeroSource)
            continue
          }
          const verdict = table.check(port, high, low)
          if (verdict === REFUSED) {
            counters[GuardCounter.wrongSource] = counters[GuardCounter.wrongSource]! + 1
            batch.drop(i, wrongSource)
          } else if (verdict === UNKNOWN && dropUnknown) {
            counters[GuardCounter.unknownPort] = counters[GuardCounter.unknownPort]! + 1
            batch.drop(i, unknownPort)
          }
        }
        counters[GuardCounter.checked] = counters[GuardCounter.checked]! + checked
      },
      oid({ oid, payload }) {
        if (sw.processor !== 0) return undefined
        if (oid === Oid.nicCreate || oid === Oid.nicConnect || oid === Oid.nicUpdated) {
          const nic = payload as NicParameters
          if (nic.nicIndex === 0) learn(nic)
        } else if (oid === Oid.portDelete) table.mark((payload as PortParameters).portId, UNKNOWN)
        return undefined
      },
    }
  },
})
