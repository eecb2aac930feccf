// Addresses, names and router advertisements for a lab: guests come up with no outside help.
//
// The rule it must not break: it answers its own ports' guests only, each within its rate, and what it does not answer goes on as if it
// were not there.
import {
  type Batch,
  defineExtension,
  EtherType,
  type FeatureStatusParameters,
  NdisStatus,
  type NicParameters,
  type NicRestoreState,
  type NicSaveComplete,
  type NicSaveRequest,
  NicState,
  namePattern,
  Oid,
  type OidRequest,
  type OidVerdict,
  type PortFeatureStatusParameters,
  type PortParameters,
  PortType,
} from '../../extension.ts'
import { fixedLeases } from './fixed-leases.ts'
import { forwardedBytes } from './forwarded-questions.ts'
import { Forwarder } from './forwarder.ts'
import { Heard, LabCounter, labCounterNames } from './lab-counters.ts'
import { LabNames } from './lab-names.ts'
import { LabServer } from './lab-server.ts'
import { leaseStatus, leaseTable } from './lease-report.ts'
import { LeaseTable, leaseBytes } from './leases.ts'
import type { LabNetwork } from './network-options.ts'
import { type DhcpDnsOptions, parseDhcpDnsOptions } from './options.ts'
import { PortVlans } from './port-vlans.ts'
import { RateLimit } from './rate-limit.ts'
import { PortLeases, saveLeases, takeLeases } from './saved-leases.ts'
import { Shortage } from './shortage.ts'
import { Station } from './station.ts'

export { LabCounter } from './lab-counters.ts'

const ID = '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a0a'
const PORT_IDS = 65_536
const HOPS_EVERY_MS = 10_000

export default defineExtension<DhcpDnsOptions>({
  id: ID,
  name: 'dhcp-dns',
  version: '1.1.0',
  class: 'filtering',
  description: 'Gives the guests of a lab addresses, names and router advertisements',
  counters: labCounterNames,
  shared: ({ leases }) => ({ leases: leaseBytes(leases), questions: forwardedBytes }),
  parseOptions: parseDhcpDnsOptions,
  attach(sw, options) {
    const leases = new LeaseTable(sw.shared('leases'), options.leases, options.leasesPerPort, sw.processors > 1)
    const names = new LabNames(options, leases)
    const vlans = new PortVlans()
    const rate = new RateLimit(options.answersPerSecond)
    const portNames = new Map<number, string>()
    const nameOf = (port: number): string => portNames.get(port) ?? String(port)
    const shortage = new Shortage(sw, LabCounter.shortages, nameOf)
    const stations = new Map(options.networks.map((network) => [network, new Station(options.mac, network, sw)]))
    const randomize = (numbers: Uint16Array): void => void crypto.getRandomValues(numbers)
    const forwarder =
      options.upstream.length === 0
        ? undefined
        : new Forwarder(options, { sw, words: sw.shared('questions'), stations, randomize })
    const serverOf = (network: LabNetwork): LabServer =>
      new LabServer(options, network, {
        sw,
        station: stations.get(network)!,
        leases,
        names,
        shortage,
        forwarder,
        fixed: fixedLeases(options, network, (port) => portNames.get(port)),
      })
    const servers = new Map(options.networks.map((network) => [network.vlan, serverOf(network)]))
    const elsewhere = servers.get(undefined)
    const { macHigh, macLow } = [...stations.values()][0]!
    const patterns = options.ports?.map(namePattern)
    const served = new Uint8Array(PORT_IDS)
    const answered = sw.registerReason('dhcp-dns: answered')
    const notOffered = sw.registerReason('dhcp-dns: not offered')
    const saving = new PortLeases(ID, 'dhcp-dns', leases)
    const livesMaxMs = options.leaseSeconds * 1000

    const add = ({ portId, portName, portType, isValidationPort }: PortParameters): void => {
      if (isValidationPort || portId <= 0 || portId >= PORT_IDS || portNames.get(portId) === portName) return
      remove(portId)
      const isServed = patterns ? patterns.some((pattern) => pattern.test(portName)) : portType !== PortType.external
      if (!isServed) return
      portNames.set(portId, portName)
      names.addPort(portId, portName)
      rate.fill(portId)
      served[portId] = 1
    }
    const remove = (portId: number): void => {
      if (!portNames.delete(portId)) return
      served[portId] = 0
      names.removePort(portId)
      if (sw.processor === 0) leases.locked(() => leases.forgetPort(portId))
    }
    const named = ({ portId, vmName }: NicParameters): void => {
      if (served[portId] === 1) names.addVm(portId, vmName)
    }
    for (const port of sw.ports()) add(port)
    for (const nic of sw.nics()) named(nic)

    // In a frame to one guest alone, in the VLAN in which it is in that network: nobody behind an uplink takes it for theirs.
    const advertiseTo = ({ portId, nicState, currentMacAddress }: NicParameters, network: LabNetwork): void => {
      if (served[portId] !== 1 || nicState !== NicState.connected || currentMacAddress === '') return
      const own = vlans.of[portId]!
      const vlan = network.vlan ?? own
      const isThere = (servers.has(own) ? network.vlan === own : network.vlan === undefined) || vlans.isTagged(portId, vlan)
      const frame = isThere ? servers.get(network.vlan)!.link.advertisementTo(currentMacAddress) : undefined
      if (frame) stations.get(network)!.send(frame, vlan)
    }
    for (const network of options.networks)
      if (sw.processor === 0 && network.ipv6)
        sw.every(network.ipv6.intervalSeconds * 1000, () => {
          for (const nic of sw.nics()) advertiseTo(nic, network)
        })
    if (sw.processor === 0 && forwarder) sw.every(HOPS_EVERY_MS, () => forwarder.refresh())

    const count = (counter: number): void => {
      sw.counters[counter] = sw.counters[counter]! + 1
    }

    // What a guest says of itself in a question of ARP to others: an address that was set by hand is known by its name.
    const overhear = (batch: Batch, i: number, port: number, server: LabServer): void => {
      if (batch.isTraced || !server.link.mayTell(batch, i)) return
      const sender = batch.u32(i, batch.networkOffset(i) + 14)
      if (rate.isNews(port, sender, sw.now()) && rate.take(port, sw.now(), false)) server.link.arp(batch, i, port)
    }

    const hear = (batch: Batch, i: number, port: number): void => {
      const isOwn = batch.destinationMacLow(i) === macLow && batch.destinationMacHigh(i) === macHigh
      if (!isOwn && !batch.isMulticast(i)) return
      const tag = batch.isTagged(i) ? batch.vlanId(i) : 0
      const vlan = tag === 0 ? vlans.of[port]! : tag
      const server = servers.get(vlan) ?? elsewhere
      if (served[port] !== 1) {
        // A resolver, or the way to it, behind a port whose guests it does not serve.
        if (!forwarder?.hears(batch, i)) return
        if (batch.etherType(i) === EtherType.arp) server?.hear(batch, i, 0, vlan, isOwn)
        if (isOwn) batch.drop(i, answered)
        return
      }
      if (!server) return
      if (!isOwn && !server.mayConcern(batch, i)) {
        if (batch.etherType(i) === EtherType.arp) overhear(batch, i, port, server)
        return
      }
      let heard: number = Heard.unanswered
      if (rate.take(port, sw.now(), batch.isTraced)) heard = server.hear(batch, i, port, vlan, isOwn)
      else if (!batch.isTraced) count(LabCounter.limited)
      if (heard === Heard.unanswered) count(LabCounter.refused)
      // What it answered it has taken off the wire; a broadcast question for its address may go on, others learn from it.
      if (isOwn) batch.drop(i, heard === Heard.answered ? answered : notOffered)
      else if (heard !== Heard.nothing && batch.isUdp(i)) batch.drop(i, heard === Heard.answered ? answered : notOffered)
    }

    const report = (port?: number) => (): string =>
      leaseTable(leases, sw.now(), nameOf, (one) => names.labelOfPort(one) ?? '', port)

    const oid = ({ oid, payload }: OidRequest): OidVerdict => {
      if (oid === Oid.switchFeatureStatusQuery) return leaseStatus(payload as FeatureStatusParameters, ID, report())
      if (oid === Oid.portFeatureStatusQuery) {
        const asked = payload as PortFeatureStatusParameters
        return leaseStatus(asked, ID, report(asked.portId))
      }
      if (oid === Oid.nicSave) return saving.next(payload as NicSaveRequest, sw.now())
      if (oid === Oid.nicSaveComplete) saving.done((payload as NicSaveComplete).portId)
      if (oid !== Oid.nicRestore || (payload as NicRestoreState).extensionId !== ID) return undefined // ES-482
      const { portId, saveData } = payload as NicRestoreState
      saving.restore(portId, saveData, options.networks, sw.now(), livesMaxMs)
      return { status: NdisStatus.success }
    }

    return {
      ingress(batch) {
        leases.freeze(batch.isTraced)
        shortage.isSilent = batch.isTraced
        for (let i = 0; i < batch.length; i++) hear(batch, i, batch.sourcePortId(i))
      },
      ...(sw.processor === 0 ? { oid } : {}),
      oidComplete(request, completion) {
        const { oid: number, payload } = request
        vlans.completed(request, completion)
        if (number === Oid.portDelete) remove((payload as PortParameters).portId)
        if (completion.status !== NdisStatus.success) return
        if (number === Oid.portCreate || number === Oid.portUpdated) add(payload as PortParameters)
        else if (number === Oid.nicCreate || number === Oid.nicUpdated) named(payload as NicParameters)
        else if (number === Oid.nicConnect && sw.processor === 0)
          for (const network of options.networks) advertiseTo(payload as NicParameters, network)
      },
      restart: () => (sw.parameters().isActive && sw.ports().length > 0 ? vlans.discover(sw) : undefined),
      // Leases stay when the module is loaded anew, or gets other options.
      handOver: () => (sw.processor === 0 ? saveLeases(leases, sw.now()) : undefined),
      takeOver: (state) => void (sw.processor === 0 && takeLeases(leases, state, options.networks, sw.now(), livesMaxMs)),
    }
  },
})
