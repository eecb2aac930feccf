// A batch as the checking mode hands it to a module: every access is checked, then done by the batch itself.
//
// The rule it must not break: it answers as the batch would, so that a module that breaks no rule notices nothing.
import type { Batch } from '../../ndis/batch.ts'
import type { ModuleWatch } from './module-watch.ts'

/** What a handler may do with the batch that it was given. */
export type BatchUse = 'ingress' | 'egress' | 'filtered'

/** A batch for the length of one call. */
export interface CheckedBatch {
  readonly batch: Batch
  /** The call is over: whatever is done with the batch from now on is a breach. */
  end(): void
}

const actions = new Set([
  'drop',
  'complete',
  'exclude',
  'addDestination',
  'addDestinationsOf',
  'setU8',
  'setU16',
  'setU32',
  'completeChecksum',
  'hold',
  'clone',
])
const reads: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4 }
const writes: Readonly<Record<string, number>> = { setU8: 1, setU16: 2, setU32: 4 }
const perDestination = new Set(['destinationPortId', 'destinationNicIndex', 'isExcluded', 'exclude'])
/** Methods that take the positions of two packets. */
const ofTwo = new Set(['sameAddresses', 'addDestinationsOf'])
const notPerPacket = new Set(['settle'])

/** Rules about what lies behind the accessors of the pool: nobody but the switch writes it. */
const poolRules: Readonly<Record<string, string>> = {
  sourcePort: 'ES-371',
  sourceNic: 'ES-371',
  flags: 'ES-438',
  destination: 'ES-421',
  destinationCount: 'ES-421',
  destinationOffset: 'ES-421',
  destinationRoom: 'ES-421',
  arena: 'ES-421',
}

/** Wraps `real` for one call of a module. */
export function checkBatch(real: Batch, use: BatchUse, watch: ModuleWatch): CheckedBatch {
  let live = true
  const breach = (rule: string, what: string): void => watch.breach(rule, what)

  const callOf =
    (name: string, method: (...args: unknown[]) => unknown) =>
    (...args: unknown[]): unknown => {
      if (!live) {
        breach('ES-066', `batch.${name}() after the handler had returned: the packets have gone on`)
        return 0
      }
      if (notPerPacket.has(name)) {
        breach('ES-066', `batch.${name}() is for the switch alone`)
        return 0
      }
      if (name === 'holdRun') return holdRun(args)
      return name === 'holdAll' ? holdEach(args) : checkedCall(name, method, args)
    }

  // Each packet is checked, then they are held as one.
  const holdRun = ([first, end]: unknown[]): number => {
    for (let i = first as number; i < (end as number); i++)
      if (!checkPosition('holdRun', i) || !checkAction('hold', i, [i])) return 0
    const handle = real.holdRun(first as number, end as number)
    watch.own(handle, 'held')
    return handle
  }

  // Each packet is checked as if it were held alone.
  const holdEach = (args: unknown[]): number => {
    const [positions, count, handles] = args as [ArrayLike<number>, number, Float64Array]
    let held = 0
    for (let n = 0; n < count; n++) {
      handles[n] = checkedCall('hold', real.hold as (...args: unknown[]) => unknown, [positions[n]]) as number
      if (handles[n] !== 0) held++
    }
    return held
  }

  const checkPosition = (name: string, i: unknown): i is number => {
    if (typeof i === 'number' && Number.isInteger(i) && i >= 0 && i < real.length) return true
    breach('ES-093', `batch.${name}(${String(i)}) names no packet: the batch has ${real.length}`)
    return false
  }

  const checkedCall = (name: string, method: (...args: unknown[]) => unknown, args: unknown[]): unknown => {
    const i = args[0]
    if (!checkPosition(name, i)) return 0
    if (ofTwo.has(name) && !(Number.isInteger(args[1]) && (args[1] as number) >= 0 && (args[1] as number) < real.length))
      breach('ES-093', `batch.${name}(${i}, ${String(args[1])}) names no second packet: the batch has ${real.length}`)
    watch.packet = real.packetId(i)
    if (!checkRange(name, i, args) || (actions.has(name) && !checkAction(name, i, args))) return 0
    const answer = method.apply(real, args)
    if (name === 'hold') watch.own(answer as number, 'held')
    else if (name === 'clone') watch.own(answer as number, 'cloned')
    else if (name === 'addDestination' && answer === false && live) checkRefused(args)
    return answer
  }

  // Bytes are read up to the end of the frame; those beyond the private copy read as 0 and are no ground for a decision.
  const checkRange = (name: string, i: number, args: unknown[]): boolean => {
    const bytes = reads[name] ?? writes[name]
    if (bytes !== undefined) {
      const offset = args[1] as number
      const end = offset + bytes
      if (!(Number.isInteger(offset) && offset >= 0)) {
        breach('ES-093', `batch.${name}() at offset ${offset}`)
        return false
      }
      const mayReach = name in writes && real.isDataSafe(i) // after makeSafe all of it may be written
      if (end > real.headerLength(i) && end <= real.frameLength(i) && !mayReach)
        breach('ES-399', `batch.${name}() at offset ${offset}, beyond the ${real.headerLength(i)} bytes that were copied`)
    }
    if (perDestination.has(name)) {
      const k = args[1]
      if (typeof k !== 'number' || !Number.isInteger(k) || k < 0 || k >= real.destinationCount(i)) {
        breach('ES-093', `batch.${name}() of destination ${String(k)}: the packet has ${real.destinationCount(i)}`)
        return false
      }
    }
    return true
  }

  const checkAction = (name: string, i: number, args: unknown[]): boolean => {
    if (use === 'filtered') {
      breach('ES-066', `batch.${name}() of packets that were dropped already: "filtered" only looks`)
      return false
    }
    if (real.isDropped(i)) {
      breach('ES-066', `batch.${name}() of a packet that this handler dropped or took before`)
      return false
    }
    const reason = name === 'drop' ? args[1] : name === 'exclude' ? args[2] : 'none needed'
    if ((typeof reason !== 'string' && typeof reason !== 'number') || reason === '')
      breach('ES-360', `batch.${name}() without a reason: every packet that is dropped or excluded is reported with one`)
    if ((name === 'drop' || name === 'complete') && use === 'ingress' && real.destinationCount(i) > 0)
      breach('ES-318', `batch.${name}() of a packet that has a destination already: such a packet goes on to the miniport edge`)
    if (name === 'exclude' && real.isExcluded(i, args[1] as number))
      breach('ES-357', 'batch.exclude() of a destination that is excluded already')
    if (name === 'addDestination' && watch.class === 'forwarding' && use === 'ingress') return checkDestination(i, args)
    return true
  }

  const checkDestination = (i: number, args: unknown[]): boolean => {
    const [, portId, nicIndex = 0] = args as [number, number, number?]
    if (real.isNativeForwardingRequired(i)) {
      breach('ES-566', 'a destination for a packet that the switch itself forwards (NativeForwardingRequired)')
      return false
    }
    for (let k = 0; k < real.destinationCount(i); k++)
      if (real.destinationPortId(i, k) === portId && real.destinationNicIndex(i, k) === nicIndex)
        breach('ES-441', `destination ${portId}/${nicIndex} twice in one packet`)
    return true
  }

  const checkRefused = (args: unknown[]): void => {
    if (watch.class !== 'forwarding' || use !== 'ingress') return // told by the batch itself
    const [, portId, nicIndex = 0] = args as [number, number, number?]
    const wrong = watch.whatIsWrong(portId, nicIndex)
    if (wrong) breach(wrong.state === 'unknown' ? 'ES-441' : 'ES-320', `${wrong.what}: it can be no destination`)
  }

  const batch = new Proxy(real, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof property === 'symbol') return value
      if (typeof value === 'function') return callOf(property, value as (...args: unknown[]) => unknown)
      if (property === 'pool') return readOnly(target.pool, poolRules, 'ES-066', breach)
      if (property === 'slots') return readOnly(target.slots, {}, 'ES-066', breach)
      if (live) return value
      breach('ES-066', `batch.${property} after the handler had returned`)
      return property === 'length' ? 0 : value
    },
    set(_target, property) {
      breach('ES-066', `batch.${String(property)} was written: a batch changes through its methods only`)
      return true
    },
  })
  return {
    batch,
    end() {
      live = false
    },
  }
}

// An object whose typed arrays can be looked at and not be written.
function readOnly<T extends object>(
  target: T,
  rules: Readonly<Record<string, string>>,
  otherwise: string,
  breach: (rule: string, what: string) => void,
): T {
  return new Proxy(target, {
    get(object, property) {
      const value: unknown = Reflect.get(object, property, object)
      if (typeof value === 'function') return value.bind(object)
      if (!ArrayBuffer.isView(value)) return value
      const name = String(property)
      return readOnly(value, { ...rules, '*': rules[name] ?? otherwise, name }, otherwise, breach)
    },
    set(_object, property) {
      const what = rules.name === undefined ? String(property) : `${rules.name}[${String(property)}]`
      breach(rules['*'] ?? otherwise, `${what} was written behind the API: the switch alone writes it`)
      return true
    },
  })
}
