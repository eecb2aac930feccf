// The payload of a request as the checking mode shows it: it can be read, and writing to it is a breach of the rule for that OID.
import { Oid } from '../../ndis/oids.ts'

/** The rule that forbids changing the payload of an OID; ES-247 for the rest. */
const rules: ReadonlyMap<number, string> = new Map([
  [Oid.portCreate, 'ES-108'],
  [Oid.portUpdated, 'ES-123'],
  [Oid.portTeardown, 'ES-128'],
  [Oid.portDelete, 'ES-136'],
  [Oid.nicCreate, 'ES-170'],
  [Oid.nicConnect, 'ES-188'],
  [Oid.nicUpdated, 'ES-195'],
  [Oid.nicDisconnect, 'ES-198'],
  [Oid.nicDelete, 'ES-210'],
])

const isPlain = (value: object): boolean => Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype

/** `payload`, with writes reported by `breach` and not done. Typed arrays, buffers for answers among them, are left as they are. */
export function watchedPayload(payload: unknown, oid: number, breach: (rule: string, what: string) => void): unknown {
  if (typeof payload !== 'object' || payload === null || !isPlain(payload)) return payload
  const told = (property: string | symbol): boolean => {
    breach(rules.get(oid) ?? 'ES-247', `"${String(property)}" of the request was changed`)
    return true
  }
  // A copy, since a proxy of a frozen object must show its very members.
  return new Proxy(Array.isArray(payload) ? [...payload] : { ...payload }, {
    get: (object, property) => watchedPayload(Reflect.get(object, property), oid, breach),
    set: (_object, property) => told(property),
    defineProperty: (_object, property) => told(property),
    deleteProperty: (_object, property) => told(property),
  })
}
