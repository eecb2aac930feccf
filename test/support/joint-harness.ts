// The extensible switch and an SR-IOV adapter below its external port on one packet pool, as a processor has them, without an engine.
import { AdapterPath } from '../../src/adapter/adapter-path.ts'
import type { HardwareLimits } from '../../src/adapter/capabilities.ts'
import { AdapterUplink, HostPort } from '../../src/adapter/host-port.ts'
import { Registry } from '../../src/adapter/keywords.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { VfParameters, VPortParameters } from '../../src/adapter/payloads.ts'
import { filterParameters } from '../../src/adapter/receive-filters.ts'
import { adapterTablesBytes, SoftwareAdapter, sriovKeywords } from '../../src/adapter/software-adapter.ts'
import { vportStatistics } from '../../src/adapter/statistics.ts'
import { PacketFilter } from '../../src/adapter/vport-table.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { Counters, countersBytes } from '../../src/switch/counters.ts'
import { Delivery, deliveryListBytes } from '../../src/switch/delivery.ts'
import { PortFlag } from '../../src/switch/port-table.ts'
import { fixtureLimits, MAC, vfPayload, vportPayload } from './adapter-harness.ts'
import { DataPathHarness, type TestFrame, type TestSink } from './data-path-harness.ts'

/** The switch's external port. */
export const EXTERNAL = 9

const limits: HardwareLimits = fixtureLimits
const PORTS = limits.maxNumVPorts + 1

export class JointHarness {
  readonly data: DataPathHarness
  readonly software: SoftwareAdapter
  readonly path: AdapterPath
  readonly counters: Counters
  readonly wire = limits.maxNumVPorts
  readonly #sinks = new Map<number, TestSink>()

  private constructor(shortCut: boolean) {
    const lists = Math.ceil(deliveryListBytes(PORTS) / 64) * 64
    const data = new DataPathHarness({ shortCut, spareBytes: lists + countersBytes(PORTS) })
    this.data = data
    this.counters = new Counters(data.buffer, data.spare + lists, PORTS)
    const delivery = new Delivery(data.buffer, data.spare, PORTS, {
      pool: data.pool,
      kernels: data.kernels,
      counters: this.counters,
      reasonName: (reason) => data.reasons.name(reason),
    })
    this.software = new SoftwareAdapter(
      { limits, mac: MAC.pf },
      {
        buffer: new SharedArrayBuffer(adapterTablesBytes(limits)),
        at: 0,
        registry: new Registry(sriovKeywords(4)),
        nowMs: () => data.nowMs,
        statistics: (vport) => vportStatistics([this.counters], vport),
      },
    )
    this.path = new AdapterPath({
      ...this.software.tables,
      pool: data.pool,
      counters: this.counters,
      delivery,
      nowMs: () => data.nowMs,
    })
    for (let vport = 1; vport <= this.wire; vport++) {
      const [sink] = data.spareSinks(1)
      this.#sinks.set(vport, sink!)
      delivery.setQueues(vport, [sink!])
    }
    const memory = new Uint16Array(data.buffer)
    const host = new HostPort(data.dataPath, memory, EXTERNAL, 0)
    this.path.host = host
    delivery.setQueues(0, [host])
    data.connectPort(EXTERNAL, PortFlag.learn | PortFlag.unknownUnicast | PortFlag.external)
    data.delivery.setQueues(EXTERNAL, [new AdapterUplink(this.path, memory)])
  }

  /** A started adapter, its wire up, the PF taking everything. */
  static async start(shortCut = false): Promise<JointHarness> {
    const joint = new JointHarness(shortCut)
    await joint.software.adapter.start()
    joint.software.pf.setWire(true, true)
    joint.software.pf.setPacketFilter(PacketFilter.promiscuous | PacketFilter.broadcast | PacketFilter.allMulticast)
    return joint
  }

  async #output<T>(oid: number, payload: unknown): Promise<T> {
    const { status, output } = await this.software.adapter.request({ oid, type: 'method', payload }, 'stack')
    if (status !== NdisStatus.success) throw new Error(`status 0x${status.toString(16)}`)
    return output as T
  }

  /** A VM on a VF. Returns its VPort. */
  async vm(mac: string, vlan = 0): Promise<number> {
    const { vfId } = await this.#output<VfParameters>(AdapterOid.nicSwitchAllocateVf, vfPayload(mac))
    const { vPortId } = await this.#output<VPortParameters>(AdapterOid.nicSwitchCreateVPort, vportPayload(vfId))
    await this.#output(AdapterOid.receiveFilterSetFilter, filterParameters(mac, vlan, vPortId))
    return vPortId
  }

  /** Sends a burst from a VPort or the wire. */
  send(vport: number, ...frames: (TestFrame | Uint8Array)[]): void {
    const { data } = this
    let completed = 0
    this.path.turn(
      {
        receive(first, max) {
          const some = frames.slice(0, max)
          for (const [i, frame] of some.entries()) data.fill(first + i, 0, frame)
          data.kernels.parse(data.pool.base, first, some.length)
          return some.length
        },
        complete: (_first, count) => {
          completed += count
        },
      },
      vport,
    )
    if (completed !== frames.length) throw new Error('the burst was not completed')
  }

  /** What a VPort or the wire gets its frames with. */
  sink(vport: number): TestSink {
    return this.#sinks.get(vport)!
  }

  /** Frames that a VPort or the wire got since the last look. */
  got(vport: number): Buffer[] {
    return this.sink(vport).frames.splice(0)
  }
}
