// The control side of a module's handle under the checking mode: references, requests and status indications of its own.
import type { SwitchHandle } from '../../extension.ts'
import { Oid, type OidRequest, oidName } from '../../ndis/oids.ts'
import type { ModuleWatch } from './module-watch.ts'

type Method = (...args: unknown[]) => unknown

/** What an extension may issue (ES-252). */
const allowed: ReadonlySet<number> = new Set([
  Oid.switchParameters,
  Oid.portArray,
  Oid.nicArray,
  Oid.portPropertyEnum,
  Oid.switchPropertyEnum,
  Oid.nicRequest,
])

/** The rule that keeps a request to the switch; ES-252 for the rest. */
const switchOnly: ReadonlyMap<number, string> = new Map([
  [Oid.portCreate, 'ES-120'],
  [Oid.portUpdated, 'ES-124'],
  [Oid.portTeardown, 'ES-134'],
  [Oid.portDelete, 'ES-139'],
  [Oid.nicCreate, 'ES-186'],
  [Oid.nicConnect, 'ES-192'],
  [Oid.nicUpdated, 'ES-196'],
  [Oid.nicDisconnect, 'ES-207'],
  [Oid.nicDelete, 'ES-212'],
  [Oid.portPropertyAdd, 'ES-501'],
  [Oid.portPropertyUpdate, 'ES-501'],
  [Oid.portPropertyDelete, 'ES-501'],
  [Oid.switchPropertyAdd, 'ES-549'],
  [Oid.switchPropertyUpdate, 'ES-549'],
  [Oid.switchPropertyDelete, 'ES-549'],
])

/** Entry points where packets are the matter at hand. */
const onDataPath: ReadonlySet<string> = new Set(['ingress', 'egress', 'sendComplete', 'returned', 'filtered'])

/** Checked versions of the methods of the control side that `real` has. */
export function checkControl(real: SwitchHandle, watch: ModuleWatch): Record<string, Method> {
  const methods = real as unknown as Readonly<Record<string, unknown>>
  const checks: Record<string, (method: Method) => Method> = {
    referencePort: (method) => referencing(method, 1, false),
    dereferencePort: (method) => referencing(method, -1, false),
    referenceNic: (method) => referencing(method, 1, true),
    dereferenceNic: (method) => referencing(method, -1, true),
    request: (method) => (request) => {
      checkRequest(request as OidRequest, watch)
      return method.call(real, request)
    },
    query: (method) => (oid, input, room) => {
      checkRequest({ oid: oid as number, type: 'query', payload: input }, watch)
      return method.call(real, oid, input, room)
    },
    indicateStatus: (method) => (indication) => {
      checkIndication(indication as Record<string, number>, watch)
      return method.call(real, indication)
    },
  }
  const referencing =
    (method: Method, change: 1 | -1, nic: boolean): Method =>
    (portId, nicIndex) => {
      if (nic && change === 1 && onDataPath.has(watch.where))
        watch.breach(
          'ES-218',
          `connection ${String(portId)}/${String(nicIndex ?? 0)} was referenced for packets: the switch counts those`,
        )
      const status = nic ? method.call(real, portId, nicIndex ?? 0) : method.call(real, portId)
      watch.referenced(portId as number, nic ? ((nicIndex ?? 0) as number) : -1, change, Number(status))
      return status
    }
  const checked: Record<string, Method> = {}
  for (const [name, check] of Object.entries(checks)) {
    const method = methods[name]
    if (typeof method === 'function') checked[name] = check(method as Method)
  }
  return checked
}

function checkRequest({ oid, type, payload }: OidRequest, watch: ModuleWatch): void {
  const name = oidName(oid)
  if (watch.state === 'attaching') watch.breach('ES-053', `${name} was issued in attach`)
  if (!allowed.has(oid)) {
    watch.breach(switchOnly.get(oid) ?? 'ES-252', `${name} was issued by an extension`)
    return
  }
  if (oid !== Oid.switchParameters && watch.handle?.parameters().isActive === false)
    watch.breach('ES-074', `${name} was issued before the switch was active`)
  const input = payload as Record<string, unknown> | undefined
  if (oid === Oid.portPropertyEnum && !watch.holds(Number(input?.portId)))
    watch.breach('ES-141', `${name} was issued without a reference to port ${String(input?.portId)}`)
  if (oid !== Oid.nicRequest) return
  const [port, nic] = [Number(input?.destinationPortId), Number(input?.destinationNicIndex)]
  if (!watch.holds(port, nic)) watch.breach('ES-272', `${name} was issued without a reference to connection ${port}/${nic}`)
  if (watch.class !== 'forwarding' && (input?.oidRequest as OidRequest | undefined)?.type === 'set')
    watch.breach('ES-265', `${name} with a set request was issued by a ${watch.class} extension`)
  else if (type === 'set') watch.breach('ES-252', `${name} was issued as a set request`)
}

function checkIndication(indication: Record<string, number>, watch: ModuleWatch): void {
  if (watch.class !== 'forwarding') watch.breach('ES-286', `a ${watch.class} extension originated a status indication`)
  const isSource = indication.sourcePortId !== 0
  const port = (isSource ? indication.sourcePortId : indication.destinationPortId) ?? 0
  const nic = (isSource ? indication.sourceNicIndex : indication.destinationNicIndex) ?? 0
  if (!watch.holds(port, nic)) watch.breach('ES-291', `a status was indicated without a reference to connection ${port}/${nic}`)
}
