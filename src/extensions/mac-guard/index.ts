// Drops frames whose source address is not one that their port may use.
//
// The rule it must not break: what cannot be checked is not passed as checked. A port without addresses follows the option
// `unknown`; one whose addresses are being changed is looked at again.
import { defineExtension, type NicParameters, NicState, NicType, Oid, type PortParameters, parseMac } from '../../extension.ts'
import { AddressTable, EXEMPT, TABLE_BYTES, UNKNOWN } from './address-table.ts'
import { Guard } from './guard.ts'
import { type MacGuardOptions, parseMacGuardOptions } from './options.ts'

export { GuardCounter } from './guard.ts'

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
    const guard = new Guard(sw, table, options.unknown === 'drop')

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
      ingress: (batch) => guard.check(batch),
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
