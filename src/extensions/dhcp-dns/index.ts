// Addresses, names and router advertisements for a lab: guests come up with no outside help.
//
// The rule it must not break: it answers its own ports' guests only, each within its rate, and what it does not answer goes on as if it
// were not there.
import {
  defineExtension,
  NdisStatus,
  type NicParameters,
  NicState,
  namePattern,
  Oid,
  type PortParameters,
  PortType,
} from '../../extension.ts'
import { LabNames } from './lab-names.ts'
import { Heard, LabCounter, LabServer, labCounterNames } from './lab-server.ts'
import { LeaseTable, leaseBytes } from './leases.ts'
import { type DhcpDnsOptions, parseDhcpDnsOptions } from './options.ts'

export { LabCounter } from './lab-server.ts'

const PORT_IDS = 65_536

export default defineExtension<DhcpDnsOptions>({
  id: '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a0a',
  name: 'dhcp-dns',
  version: '1.0.0',
  class: 'filtering',
  description: 'Gives the guests of a lab addresses, names and router advertisements',
  counters: labCounterNames,
  shared: ({ leases }) => ({ leases: leaseBytes(leases) }),
  parseOptions: parseDhcpDnsOptions,
  attach(sw, options) {
    const leases = new LeaseTable(sw.shared('leases'), options.leases, options.leasesPerPort, sw.processors > 1)
    const names = new LabNames(options, leases)
    const portNames = new Map<number, string>()
    const fixed = (port: number, mac: string) =>
      options.statics.find(
        (one) => (one.port === undefined || one.port === portNames.get(port)) && (one.mac === undefined || one.mac === mac),
      )
    const server = new LabServer(options, { sw, leases, names, fixed })
    const patterns = options.ports?.map(namePattern)
    const served = new Uint8Array(PORT_IDS)
    const tokens = new Float64Array(PORT_IDS)
    const filledAt = new Float64Array(PORT_IDS)
    const answered = sw.registerReason('dhcp-dns: answered')
    const notOffered = sw.registerReason('dhcp-dns: not offered')

    const add = ({ portId, portName, portType, isValidationPort }: PortParameters): void => {
      if (isValidationPort || portId <= 0 || portId >= PORT_IDS || portNames.get(portId) === portName) return
      remove(portId)
      const isServed = patterns ? patterns.some((pattern) => pattern.test(portName)) : portType !== PortType.external
      if (!isServed) return
      portNames.set(portId, portName)
      names.addPort(portId, portName)
      tokens[portId] = options.answersPerSecond
      served[portId] = 1
    }
    const remove = (portId: number): void => {
      if (!portNames.delete(portId)) return
      served[portId] = 0
      names.removePort(portId)
      if (sw.processor === 0) leases.locked(() => leases.forgetPort(portId))
    }
    for (const port of sw.ports()) add(port)

    // Whether a port may have another answer now; a traced question uses nothing up.
    const mayAnswer = (port: number, isTraced: boolean): boolean => {
      const now = sw.now()
      const rate = options.answersPerSecond
      const have = Math.min(rate, tokens[port]! + ((now - filledAt[port]!) * rate) / 1000)
      if (isTraced) return have >= 1
      filledAt[port] = now
      tokens[port] = have < 1 ? have : have - 1
      if (have < 1) sw.counters[LabCounter.limited] = sw.counters[LabCounter.limited]! + 1
      return have >= 1
    }

    // In frames to each guest alone: nobody behind an uplink takes them for theirs.
    const advertise = (): void => {
      for (const { portId, nicState, currentMacAddress } of sw.nics()) {
        if (served[portId] !== 1 || nicState !== NicState.connected || currentMacAddress === '') continue
        const frame = server.advertisementTo(currentMacAddress)
        if (frame) server.sendFrame(frame)
      }
    }
    if (sw.processor === 0 && options.ipv6) sw.every(options.ipv6.intervalSeconds * 1000, advertise)

    return {
      ingress(batch) {
        const { isTraced } = batch
        leases.freeze(isTraced)
        for (let i = 0; i < batch.length; i++) {
          const port = batch.sourcePortId(i)
          if (served[port] !== 1 || !server.concerns(batch, i)) continue
          const isOwn = server.isOwn(batch, i)
          const heard =
            isOwn || server.mayConcern(batch, i)
              ? mayAnswer(port, isTraced)
                ? server.hear(batch, i, port)
                : Heard.unanswered
              : Heard.nothing
          if (heard === Heard.unanswered) sw.counters[LabCounter.refused] = sw.counters[LabCounter.refused]! + 1
          // What it answered it has taken off the wire; a broadcast question for its address may go on, others learn from it.
          if (isOwn) batch.drop(i, heard === Heard.answered ? answered : notOffered)
          else if (heard !== Heard.nothing && batch.isUdp(i)) batch.drop(i, heard === Heard.answered ? answered : notOffered)
        }
      },

      oidComplete({ oid, payload }, { status }) {
        if (oid === Oid.portDelete) remove((payload as PortParameters).portId)
        if (status !== NdisStatus.success) return
        if (oid === Oid.portCreate || oid === Oid.portUpdated) add(payload as PortParameters)
        else if (oid === Oid.nicConnect && sw.processor === 0) {
          const { portId, currentMacAddress } = payload as NicParameters
          const frame = served[portId] === 1 && currentMacAddress !== '' ? server.advertisementTo(currentMacAddress) : undefined
          if (frame) server.sendFrame(frame)
        }
      },
    }
  },
})
