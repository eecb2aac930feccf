// A forwarding extension: a learning switch. It stands here to be used, and to be copied by authors of forwarding extensions: it
// shows each duty of one, with the rule it comes from.
//
// The rule it must not break: every packet that it passes down has a destination that is connected (ES-316, ES-317, ES-320).
import {
  type Batch,
  defineExtension,
  NdisStatus,
  type NicParameters,
  Oid,
  type PortParameters,
  type PortPropertyParameters,
  PortPropertyType,
  type PropertyEnumeration,
  type SecurityProperty,
} from '../../extension.ts'
import { AddressTable, addressTableBytes } from './address-table.ts'
import { CONNECTIONS_BYTES, Connections } from './connections.ts'
import { type LearningForwardOptions, parseLearningForwardOptions } from './options.ts'
import { SOURCE_GUARD_BYTES, SourceGuard } from './source-guard.ts'

export const ForwardCounter = { forwarded: 0, flooded: 1, notLearned: 2 } as const

const changesProperties: ReadonlySet<number> = new Set([Oid.portPropertyAdd, Oid.portPropertyUpdate, Oid.portPropertyDelete])

// It learns per VLAN and enforces none, and follows no failover within a team: such properties would promise what nobody keeps (ES-499).
const keeps = ({ propertyType, property }: PortPropertyParameters): boolean =>
  propertyType !== PortPropertyType.vlan &&
  !(propertyType === PortPropertyType.security && (property as SecurityProperty).allowTeaming)

export default defineExtension<LearningForwardOptions>({
  id: '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a05',
  name: 'learning-forward',
  version: '1.0.0',
  class: 'forwarding',
  description: 'Forwards by learned addresses',
  counters: ['forwarded', 'flooded', 'not-learned'],
  shared: ({ entries }) => ({
    addresses: addressTableBytes(entries),
    connections: CONNECTIONS_BYTES,
    sources: SOURCE_GUARD_BYTES,
  }),
  parseOptions: parseLearningForwardOptions,
  attach(sw, options) {
    const addresses = new AddressTable(sw.shared('addresses'), options.entries, options.ageingSeconds)
    const preserve = { vlan: options.preserveVlan, priority: options.preservePriority }
    const nameOf = (id: number): string => sw.ports().find(({ portId }) => portId === id)?.portName ?? ''
    const connections = new Connections(sw.shared('connections'), preserve, nameOf)
    const guard = new SourceGuard(sw.shared('sources'))
    const spoofed = sw.registerReason('learning-forward: source address not allowed')
    const noDestination = sw.registerReason('learning-forward: no destination')
    const notConnected = sw.registerReason('learning-forward: destination not connected')
    const hairpin = sw.registerReason('learning-forward: destination is the source')
    const { counters } = sw
    // A module that is attached to an active switch reads what is there already; later changes come as OIDs.
    if (sw.processor === 0) {
      connections.reset(sw.nics())
      for (const nic of sw.nics()) guard.adapter(nic)
    }

    // Learns the source of packet `i` and gives it its destinations. Returns the counter that stands for what was done; -1 if the
    // packet was dropped, or its source could not be learned.
    const direct = (batch: Batch, i: number, now: number): number => {
      const source = batch.sourcePortId(i)
      const vlan = batch.vlanId(i)
      const sourceHigh = batch.sourceMacHigh(i)
      if (source !== 0 && guard.forbids(source, sourceHigh, batch.sourceMacLow(i))) {
        batch.drop(i, spoofed) // ES-319
        return -1
      }
      // Port 0 is an extension that originated the packet: there is nothing to learn from it.
      const learns = source !== 0 && !batch.isTraced && (sourceHigh & 0x100) === 0
      const learned = !learns || addresses.learn(sourceHigh, batch.sourceMacLow(i), vlan, source, now)
      if (!learned) counters[ForwardCounter.notLearned] = counters[ForwardCounter.notLearned]! + 1

      const isGroup = batch.isMulticast(i)
      const target = isGroup ? 0 : addresses.lookup(batch.destinationMacHigh(i), batch.destinationMacLow(i), vlan, now)
      const done = target === 0 ? flood(batch, i, source) : send(batch, i, source, target)
      if (done >= 0) counters[done] = counters[done]! + 1
      return learned ? done : -1
    }

    const secure = ({ portId, propertyType, property }: PortPropertyParameters, isDeleted: boolean): void => {
      if (propertyType === PortPropertyType.security)
        guard.property(portId, isDeleted ? undefined : (property as SecurityProperty))
    }

    // Properties that are older than this module.
    const discover = async (): Promise<void> => {
      await sw.query(Oid.switchParameters) // ES-073
      for (const { portId } of sw.ports()) {
        if (sw.referencePort(portId) !== NdisStatus.success) continue // ES-141
        const { output } = await sw.query(Oid.portPropertyEnum, { portId, propertyType: PortPropertyType.security })
        for (const { property } of (output as PropertyEnumeration | undefined)?.properties ?? [])
          guard.property(portId, property as SecurityProperty)
        sw.dereferencePort(portId) // ES-142
      }
    }

    const send = (batch: Batch, i: number, source: number, target: number): number => {
      const reachable =
        target !== source &&
        connections.isConnected(target) && // ES-321
        batch.addDestination(
          i,
          target,
          connections.nicIndex(target),
          connections.preservesVlan(target),
          connections.preservesPriority(target),
        )
      if (reachable) return ForwardCounter.forwarded
      batch.drop(i, target === source ? hairpin : notConnected)
      return -1
    }

    // Unknown, broadcast and multicast: to every connected port but the source.
    const flood = (batch: Batch, i: number, source: number): number => {
      const { flood: ports, floodCount } = connections
      let added = 0
      for (let n = 0; n < floodCount; n++) {
        const port = ports[n]!
        if (port === source || !connections.isConnected(port)) continue
        const vlanKept = connections.preservesVlan(port)
        if (batch.addDestination(i, port, connections.nicIndex(port), vlanKept, connections.preservesPriority(port))) added++
      }
      if (added > 0) return ForwardCounter.flooded
      batch.drop(i, noDestination) // ES-317
      return -1
    }

    return {
      ingress(batch) {
        const now = Math.floor(sw.now() / 1000)
        connections.refresh()
        let last = -1 // the packet before, if its like may go the same way
        let lastCounter = 0
        for (let i = 0; i < batch.length; i++) {
          // The switch forwards these itself; a forwarding extension may filter them but not direct them (spec 5.10).
          if (batch.isNativeForwardingRequired(i)) continue
          if (last >= 0 && batch.sameAddresses(i, last) && batch.addDestinationsOf(i, last)) {
            counters[lastCounter] = counters[lastCounter]! + 1
            continue
          }
          lastCounter = direct(batch, i, now)
          last = lastCounter < 0 ? -1 : i
        }
      },
      oid({ oid, payload }) {
        // Before the request goes on: from then on the connection must not be used (ES-320).
        if (sw.processor === 0 && oid === Oid.nicDisconnect) {
          const nic = payload as NicParameters
          connections.disconnect(nic)
          if (!connections.isConnected(nic.portId)) addresses.forget(nic.portId)
        }
        if (sw.processor === 0 && (oid === Oid.nicCreate || oid === Oid.nicUpdated)) guard.adapter(payload as NicParameters)
        if (sw.processor === 0 && oid === Oid.portTeardown) {
          const { portId } = payload as PortParameters // ES-133
          addresses.forget(portId)
          guard.forget(portId)
        }
        const promises = oid === Oid.portPropertyAdd || oid === Oid.portPropertyUpdate
        return promises && !keeps(payload as PortPropertyParameters) ? { status: NdisStatus.dataNotAccepted } : undefined
      },
      oidComplete({ oid, payload }, { status }) {
        // After it came back: a connection may be used when NIC_CONNECT has completed (spec 3.2).
        if (sw.processor !== 0 || status !== NdisStatus.success) return
        if (oid === Oid.nicConnect) connections.connect(payload as NicParameters)
        else if (changesProperties.has(oid)) secure(payload as PortPropertyParameters, oid === Oid.portPropertyDelete)
      },
      restart: () => (sw.processor === 0 && sw.parameters().isActive && sw.ports().length > 0 ? discover() : undefined),
    }
  },
})
