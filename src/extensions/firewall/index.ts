// A firewall for groups of VMs: what they may reach, by prefix, by name and by group, who may reach them, and nothing else; with a log, and a
// mode that only tells what it would drop.
//
// The rule it must not break: IPv4 and IPv6 are judged alike; what is not allowed is refused, in both directions; and what it can't read,
// it does not pass.
import {
  type Batch,
  defineExtension,
  NdisStatus,
  type NicRestoreState,
  type NicSaveComplete,
  type NicSaveRequest,
  NO_GUID,
  Oid,
  type OidRequest,
  type OidVerdict,
  type PortParameters,
  SAVE_DATA_OFFSET,
  type SwitchHandle,
} from '../../extension.ts'
import { FLOW_WORDS } from './flow.ts'
import { GroupMarks } from './group-marks.ts'
import { Judge, neighbourShape, Verdict } from './judge.ts'
import { LaneState } from './lane-state.ts'
import { Names, pinShape, questionShape } from './names.ts'
import { type FirewallOptions, parseFirewallOptions } from './options.ts'
import { counterNames, hitsBytes, Reporter } from './reporter.ts'
import { SharedTable, type TableShape, tableBytes } from './shared-table.ts'
import { LANES_BYTES, NO_GROUP, Vms } from './vms.ts'

export { FirewallCounter } from './reporter.ts'

const AUDIT_BUFFER_BYTES = 1 << 18
const RULES_TOLD_MS = 60_000
const ID = '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a09'
const NAME = 'firewall'

/** What a module hands over: blocks by port id. */
type Handed = ReadonlyMap<number, readonly Uint8Array[]>

const connectionShape = ({ vms, connections }: FirewallOptions): TableShape => ({
  lanes: vms,
  entries: connections,
  keyWords: FLOW_WORDS,
})

/** Drops, excludes or only tells. */
class Gate {
  readonly judge: Judge
  readonly vms: Vms
  readonly reporter: Reporter
  readonly state: LaneState
  private readonly enforces: boolean
  private readonly reasons: readonly number[]

  constructor(sw: SwitchHandle, options: FirewallOptions) {
    const several = sw.processors > 1
    const connections = new SharedTable(sw.shared('connections'), connectionShape(options), several)
    const questions = new SharedTable(sw.shared('questions'), questionShape(options.vms), several)
    const pins = new SharedTable(sw.shared('pins'), pinShape(options.vms, options.pins), several)
    const names = new Names(questions, pins)
    const neighbours = new SharedTable(sw.shared('neighbours'), neighbourShape(options.vms), several)
    const clear = (lane: number): void => {
      connections.clear(lane)
      neighbours.clear(lane)
      names.clear(lane)
    }
    const isFirst = sw.processor === 0
    this.vms = new Vms({ options, isFirst }, { lanes: sw.shared('lanes'), clear, log: (message) => sw.log(message) })
    this.judge = new Judge(sw, options.groups, { vms: this.vms, connections, neighbours, names })
    this.reporter = new Reporter(sw, options, this.vms)
    const { vms } = this
    this.state = new LaneState({
      connections,
      pins,
      marks: new GroupMarks(options),
      laneOf: (port) => vms.laneOf(port),
      groupOf: (port) => vms.groupOf[port]!,
      nowMs: () => sw.now(),
    })
    this.enforces = options.mode === 'enforce'
    const reasons: number[] = []
    reasons[Verdict.denied] = sw.registerReason('firewall')
    reasons[Verdict.unreadable] = sw.registerReason('firewall: unreadable headers')
    reasons[Verdict.fragment] = sw.registerReason('firewall: fragment')
    reasons[Verdict.name] = sw.registerReason('firewall: name not listed')
    this.reasons = reasons
  }

  /** Call it before each batch. Of traced packets nothing is remembered, and nothing told. */
  begin(isTraced: boolean): void {
    this.judge.begin(isTraced)
    this.reporter.isTraced = isTraced
  }

  outbound(batch: Batch, i: number, port: number): void {
    const { judge, reporter } = this
    const verdict = judge.outbound(batch, i, port)
    if (verdict === Verdict.allowed) reporter.allowed(batch, i, judge.flow, judge.rule, port, true)
    else if (verdict <= Verdict.perhaps) reporter.passed(batch, i)
    else {
      reporter.denied(batch, i, judge.flow, verdict, port, true)
      if (this.enforces) batch.drop(i, this.reasons[verdict]!)
      else judge.letPass(batch, i, true, port)
    }
  }

  /** One destination of a packet. */
  toward(batch: Batch, i: number, k: number, source: number, target: number): void {
    const { judge, reporter, vms } = this
    const sourceGroup = vms.groupOf[source]!
    if (sourceGroup !== NO_GROUP && judge.hasPeers(batch, i, sourceGroup)) {
      const verdict = judge.toPeer(batch, i, source, target)
      if (verdict === Verdict.allowed) reporter.allowed(batch, i, judge.flow, judge.rule, source, true)
      if (verdict > Verdict.perhaps && this.refuse(batch, i, k, verdict, source, true)) return
    }
    if (sourceGroup !== NO_GROUP && judge.isQuestion(batch, i, sourceGroup)) judge.questionLeaves(batch, i, source, target)
    if (vms.groupOf[target] === NO_GROUP) return
    const verdict = judge.inbound(batch, i, source, target)
    if (verdict > Verdict.perhaps && this.refuse(batch, i, k, verdict, target, false)) return
    if (verdict === Verdict.allowed) reporter.allowed(batch, i, judge.flow, judge.rule, target, false)
    else reporter.passed(batch, i)
    if (judge.isAnswer(batch, i, target)) this.answer(batch, i, source, target)
  }

  private answer(batch: Batch, i: number, source: number, target: number): void {
    const { judge, reporter } = this
    const seen = judge.takeAnswer(batch, i, source, target)
    if (!batch.isTraced) reporter.seen(seen, target)
  }

  private refuse(batch: Batch, i: number, k: number, verdict: number, port: number, outbound: boolean): boolean {
    this.reporter.denied(batch, i, this.judge.flow, verdict, port, outbound)
    if (this.enforces) batch.exclude(i, k, this.reasons[verdict]!)
    else this.judge.letPass(batch, i, outbound, port)
    return this.enforces
  }
}

// Blocks of VMs that are saved, or restored: NIC_SAVE asks for one after the other.
class SavedBlocks {
  readonly #gate: Gate
  readonly #left = new Map<number, Uint8Array[]>()

  constructor(gate: Gate) {
    this.#gate = gate
  }

  oid({ oid, payload }: OidRequest): OidVerdict {
    if (oid === Oid.nicSave) return this.#save(payload as NicSaveRequest)
    if (oid === Oid.nicSaveComplete) this.#left.delete((payload as NicSaveComplete).portId)
    if (oid !== Oid.nicRestore) return undefined
    const { extensionId, portId, saveData } = payload as NicRestoreState
    if (extensionId !== ID) return undefined // ES-482
    this.#gate.state.restore(portId, saveData, true) // without it connections begin anew: no ground to refuse the VM (ES-486)
    return { status: NdisStatus.success }
  }

  #save({ portId, saveDataSize }: NicSaveRequest): OidVerdict {
    const left = this.#left.get(portId) ?? this.#gate.state.save(portId, true)
    this.#left.set(portId, left)
    const [saveData] = left
    if (saveData === undefined) return undefined
    if (saveData.length > saveDataSize)
      return { status: NdisStatus.bufferTooShort, bytesNeeded: SAVE_DATA_OFFSET + saveData.length }
    left.shift()
    return {
      status: NdisStatus.success,
      output: { extensionId: ID, extensionFriendlyName: NAME, featureClassId: NO_GUID, saveData },
    }
  }
}

export default defineExtension<FirewallOptions>({
  id: ID,
  name: NAME,
  version: '1.0.0',
  class: 'filtering',
  description: 'Lets groups of VMs reach what they are allowed to, by prefix, name or group, and nothing else',
  counters: counterNames,
  shared: (options) => ({
    lanes: LANES_BYTES,
    connections: tableBytes(connectionShape(options)),
    neighbours: tableBytes(neighbourShape(options.vms)),
    questions: tableBytes(questionShape(options.vms)),
    pins: tableBytes(pinShape(options.vms, options.pins)),
    hits: hitsBytes(options),
  }),
  sinks: ({ audit }) =>
    audit
      ? [
          {
            name: 'audit',
            path: audit.file,
            append: true,
            bufferBytes: AUDIT_BUFFER_BYTES,
            rotateBytes: audit.rotateBytes,
            rotateFiles: audit.rotateFiles,
          },
        ]
      : [],
  parseOptions: parseFirewallOptions,
  attach(sw, options) {
    const gate = new Gate(sw, options)
    const { vms } = gate
    for (const port of sw.ports()) vms.set(port)
    if (sw.processor === 0) sw.every(RULES_TOLD_MS, () => gate.reporter.tellRules())
    const { groupOf } = vms
    const saved = new SavedBlocks(gate)

    return {
      ingress(batch) {
        const { slots, pool, length } = batch
        const { sourcePort } = pool
        if (batch.oneSource && length > 0 && groupOf[sourcePort[slots[0]!]!] === NO_GROUP) return
        gate.begin(batch.isTraced)
        for (let i = 0; i < length; i++) {
          const port = sourcePort[slots[i]!]!
          if (groupOf[port] !== NO_GROUP) gate.outbound(batch, i, port)
        }
      },

      egress(batch) {
        gate.begin(batch.isTraced)
        for (let i = 0; i < batch.length; i++) {
          const source = batch.sourcePortId(i)
          const count = batch.destinationCount(i)
          const group = groupOf[source]!
          const isSeen = group !== NO_GROUP && gate.judge.isSeenLeaving(batch, i, group)
          for (let k = 0; k < count; k++) {
            const target = batch.destinationPortId(i, k)
            if ((!isSeen && groupOf[target] === NO_GROUP) || batch.isExcluded(i, k)) continue
            gate.toward(batch, i, k, source, target)
            if (batch.isDropped(i)) break
          }
        }
      },

      oid: (request) => saved.oid(request),

      oidComplete({ oid, payload }, { status }) {
        if (oid === Oid.portDelete) vms.remove((payload as PortParameters).portId)
        else if (status === NdisStatus.success && (oid === Oid.portCreate || oid === Oid.portUpdated))
          vms.set(payload as PortParameters)
      },

      pause() {
        gate.reporter.end(sw.processor === 0)
      },

      handOver(): Handed | undefined {
        if (sw.processor !== 0) return undefined // all share the tables
        return new Map(vms.ports().map((port) => [port, gate.state.save(port, false)]))
      },

      takeOver(state) {
        for (const [port, blocks] of state as Handed) for (const block of blocks) gate.state.restore(port, block, false)
      },
    }
  },
})
