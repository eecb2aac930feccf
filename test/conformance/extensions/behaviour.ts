// What the test extensions do with packets, told by their options: one program for all three classes.
//
// The rule it must not break: an extension acts on test frames only (EtherType 0x88b5), and on those whose first payload byte it was
// given as `match` (any, without one).
import type { Batch, ExtensionClass, ExtensionHandlers, PacketHandle, SwitchHandle } from 'vmswitch/extension'
import { defineExtension, Oid, oidName } from 'vmswitch/extension'

export interface Behaviour {
  /** Logs what passes: "ingress a" for a frame whose first payload byte is "a". */
  readonly trace?: boolean
  /** Logs OIDs: "oid PORT_CREATE name", and completions. */
  readonly oids?: boolean
  readonly match?: string
  readonly ingress?: Action
  readonly egress?: Action
  /** For forwarding extensions: ids of the ports that every frame goes to; without, flooding to all other connected ports. */
  readonly to?: readonly number[]
  /** Milliseconds after which held packets go on. */
  readonly delayMs?: number
  /** Status with which creations are answered, by OID name ("PORT_CREATE"), for ports whose name contains "bad". */
  readonly veto?: Readonly<Record<string, number>>
  /** Throws on a frame whose first payload byte is this. */
  readonly throwOn?: string
  readonly throwIn?: 'attach' | 'oid' | 'timer' | 'pause' | 'restart' | 'detach' | 'promise'
  /** Sends a frame of this text to all ports every so many milliseconds. */
  readonly beatMs?: number
  /** Milliseconds of the processor that each batch takes. */
  readonly burnMs?: number
}

export type Action =
  | 'drop'
  | 'exclude-first'
  | 'exclude-all'
  | 'hold'
  | 'keep'
  | 'replace'
  | 'duplicate'
  | 'capitalise'
  | 'forbidden'
  | 'handles'
  | 'reference'
  | 'outside'
  | 'direct-and-drop'
  | 'throw'

const TEST_TYPE = 0x88b5
const PAYLOAD = 14

const text = (frame: Uint8Array, at: number): string => String.fromCharCode(frame[at]!)

/** An extension of a class that does what its options say. */
export const behave = (extensionClass: ExtensionClass, id: string) =>
  defineExtension<Behaviour>({
    id,
    name: `test ${extensionClass} extension`,
    version: '1.0.0',
    class: extensionClass,
    counters: ['frames'],
    parseOptions: (raw) => (raw ?? {}) as Behaviour,
    attach: (sw, options) => new Extension(sw, extensionClass, options).handlers(),
  })

class Extension {
  readonly sw: SwitchHandle
  readonly class: ExtensionClass
  readonly options: Behaviour
  held: { packet: PacketHandle; dueMs: number }[] = []

  constructor(sw: SwitchHandle, extensionClass: ExtensionClass, options: Behaviour) {
    this.sw = sw
    this.class = extensionClass
    this.options = options
    if (options.throwIn === 'attach') throw new Error('boom in attach')
    if (options.delayMs !== undefined) sw.every(1, () => this.goOn(sw.now()))
    if (options.beatMs !== undefined) sw.every(options.beatMs, () => this.beat())
    if (options.throwIn === 'timer')
      sw.every(5, () => {
        throw new Error('boom in a timer')
      })
    if (options.throwIn === 'promise') void Promise.reject(new Error('boom in a promise'))
  }

  handlers(): ExtensionHandlers {
    const { options } = this
    const fault = (where: Behaviour['throwIn']): void => {
      if (options.throwIn === where) throw new Error(`boom in ${where}`)
    }
    return {
      ingress: (batch) => this.work(batch, options.ingress),
      egress: (batch) => this.work(batch, options.egress),
      oid: (request) => {
        const { portName, nicName } = request.payload as { portName?: string; nicName?: string }
        const name = oidName(request.oid).replace('OID_SWITCH_', '')
        if (options.oids) this.sw.log(`oid ${name} ${portName ?? nicName ?? ''}`)
        fault('oid')
        const status = options.veto?.[name]
        const creation = request.oid === Oid.portCreate || request.oid === Oid.nicCreate
        const bad = (portName ?? nicName ?? '').includes('bad')
        return status !== undefined && (bad || !creation) ? { status } : undefined
      },
      oidComplete: (request, completion) => {
        if (options.oids) this.sw.log(`done ${oidName(request.oid).replace('OID_SWITCH_', '')} ${completion.status.toString(16)}`)
      },
      pause: () => {
        this.goOn(Number.POSITIVE_INFINITY)
        fault('pause')
      },
      restart: () => fault('restart'),
      detach: () => fault('detach'),
    }
  }

  work(batch: Batch, action: Action | undefined): void {
    const { options, sw } = this
    if (options.burnMs !== undefined) for (const end = sw.now() + options.burnMs; sw.now() < end; );
    for (let i = 0; i < batch.length; i++) {
      if (batch.etherType(i) !== TEST_TYPE) continue
      sw.counters[0]! += 1
      const first = String.fromCharCode(batch.u8(i, PAYLOAD))
      if (options.trace) this.trace(batch, i, first)
      if (options.throwOn === first) throw new Error(`boom on ${first}`)
      if (options.match !== undefined && options.match !== first) continue
      if (action !== undefined) this.act(batch, i, action)
    }
    if (this.class === 'forwarding' && batch.ingress) this.direct(batch)
  }

  trace(batch: Batch, i: number, first: string): void {
    const destinations = Array.from({ length: batch.destinationCount(i) }, (_, k) =>
      batch.isExcluded(i, k) ? `-${batch.destinationPortId(i, k)}` : `${batch.destinationPortId(i, k)}`,
    )
    this.sw.log(
      `${batch.ingress ? 'ingress' : 'egress'} ${first} from ${batch.sourcePortId(i)}/${batch.sourceNicIndex(i)} to [${destinations.join(' ')}]`,
    )
  }

  act(batch: Batch, i: number, action: Action): void {
    switch (action) {
      case 'drop':
        batch.drop(i, 'test-drop')
        return
      case 'exclude-first':
        batch.exclude(i, 0, 'test-exclude')
        return
      case 'exclude-all':
        for (let k = 0; k < batch.destinationCount(i); k++) batch.exclude(i, k, 'test-exclude')
        return
      case 'hold':
      case 'keep': {
        const packet = batch.hold(i)
        if (packet !== 0 && action === 'hold') this.held.push({ packet, dueMs: this.sw.now() + (this.options.delayMs ?? 0) })
        return
      }
      case 'replace':
        this.sw.send(batch.clone(i))
        batch.drop(i, 'test-replaced')
        return
      case 'duplicate':
        this.sw.send(batch.clone(i))
        return
      case 'capitalise':
        batch.setU8(i, PAYLOAD, batch.u8(i, PAYLOAD) & 0xdf)
        return
      case 'forbidden':
        this.forbidden(batch, i)
        return
      case 'handles':
        this.handleAbuse(batch, i)
        return
      case 'direct-and-drop':
        batch.addDestination(i, this.options.to![0]!)
        batch.drop(i, 'test-drop')
        return
      case 'outside':
        this.writeOutside(batch, i)
        return
      case 'reference':
        this.sw.referenceNic(batch.sourcePortId(i))
        this.sw.dereferenceNic(batch.sourcePortId(i))
        return
      case 'throw':
        throw new Error(`boom in ${batch.ingress ? 'ingress' : 'egress'}`)
    }
  }

  // Everything that some class or direction must not do.
  forbidden(batch: Batch, i: number): void {
    if (this.class === 'capturing') {
      batch.drop(i, 'forbidden')
      batch.hold(i)
      batch.clone(i)
    }
    if (this.class === 'capturing' || !batch.ingress) batch.setU8(i, PAYLOAD, 0x21)
    if (this.class !== 'forwarding' || !batch.ingress) batch.addDestination(i, 1)
    if (this.class === 'capturing' || batch.ingress) batch.exclude(i, 0, 'forbidden')
  }

  // Writes before, behind and far behind everything that it was given.
  writeOutside(batch: Batch, i: number): void {
    const { sw } = this
    const length = batch.frameLength(i)
    const positions = [-1, length, 256, 4096, 2 ** 31, 2 ** 40, Number.NaN, 0.5]
    for (const offset of positions) {
      batch.setU8(i, offset, 0x21)
      batch.setU16(i, offset, 0x2121)
      batch.setU32(i, offset, 0x21212121)
    }
    batch.setU16(i, length - 1, 0x2121)
    for (const other of [-1, batch.length, 4096, Number.NaN]) {
      batch.setU8(other, PAYLOAD, 0x21)
      batch.drop(other, 'test-outside')
    }
    for (const at of [-1, sw.counters.length, 4096, 2 ** 31, Number.NaN]) sw.counters[at] = 7
    const own = sw.originate(new Uint8Array(60))
    for (const offset of positions) sw.write(own, offset === 0.5 ? 59 : offset, new Uint8Array(16).fill(0x21))
    sw.write(own, 50, new Uint8Array(1 << 20))
    sw.release(own)
  }

  // Sends the packet on once, and tries every other use of its handle.
  handleAbuse(batch: Batch, i: number): void {
    const { sw } = this
    const packet = batch.hold(i)
    const wrong = [
      sw.send(packet),
      sw.setSource(packet, 1),
      sw.forward(packet + 2 ** 20), // a generation that no packet has reached
      sw.forward(packet - 1),
      sw.release(Number.NaN),
      sw.release(0),
    ]
    const right = sw.forward(packet)
    wrong.push(sw.forward(packet), sw.release(packet), sw.send(packet))
    sw.log(`handles ${right} ${wrong.every((status) => status !== 0)}`)
  }

  direct(batch: Batch): void {
    const { to } = this.options
    for (let i = 0; i < batch.length; i++) {
      if (batch.isDropped(i)) continue
      if (to) for (const port of to) batch.addDestination(i, port)
      else for (const { portId } of this.sw.nics()) if (portId !== batch.sourcePortId(i)) batch.addDestination(i, portId)
    }
  }

  goOn(nowMs: number): void {
    const due = this.held.filter(({ dueMs }) => dueMs <= nowMs)
    this.held = this.held.filter(({ dueMs }) => dueMs > nowMs)
    for (const { packet } of due) this.sw.forward(packet)
  }

  beat(): void {
    const frame = new Uint8Array(60)
    frame.fill(0xff, 0, 6)
    frame.set([2, 0, 0, 0, 0, 0xee], 6)
    frame.set([TEST_TYPE >> 8, TEST_TYPE & 0xff, 0x62], 12)
    const packet = this.sw.originate(frame)
    if (packet !== 0) this.sw.send(packet)
    else this.sw.log(`no room for a beat ${text(frame, PAYLOAD)}`)
  }
}
