// An extension that does on the control path what it is told: by its options when it sees an OID, and at run time by PORT_UPDATED,
// whose new port name says who does what ("X: [{…}]"). It logs what it sees and what came of what it did.
import type {
  ExtensionClass,
  ExtensionHandlers,
  NicOidRequest,
  NicParameters,
  NicStatusIndication,
  OidAnswer,
  OidRequest,
  OidVerdict,
  SwitchHandle,
} from 'vmswitch/extension'
import { defineExtension, Oid, oidName } from 'vmswitch/extension'

/** One thing to do. */
export type Command =
  | { readonly do: 'referencePort' | 'dereferencePort'; readonly port: number }
  | { readonly do: 'referenceNic' | 'dereferenceNic'; readonly port: number; readonly nic?: number }
  | { readonly do: 'query'; readonly oid: number; readonly input?: unknown; readonly room?: number }
  | { readonly do: 'request'; readonly request: OidRequest }
  /** Makes a packet and tries to give it a destination, or a source; it is given up again. */
  | { readonly do: 'direct' | 'pretend'; readonly port: number; readonly nic?: number }
  | { readonly do: 'indicate'; readonly indication: NicStatusIndication }

/** How it answers an OID, by name. */
export interface Reply {
  readonly status?: number
  /** Only for ports and adapters whose name contains this. */
  readonly for?: string
  readonly nicIndex?: number
  /** Answers so often, then forwards. */
  readonly times?: number
  /** Forwards so many first. */
  readonly after?: number
  readonly mtu?: number
  /** Leaves it pending, for `answerAfterMs` if the script has that. */
  readonly pending?: boolean
  /** Never answers. */
  readonly never?: boolean
  /** Redirects an encapsulated OID to this adapter. */
  readonly member?: number
  /** Names another source when it redirects. */
  readonly forge?: boolean
  /** Completes an encapsulated OID as one of its own ends. */
  readonly own?: OwnRequest
  /** Writes to the payload. */
  readonly modify?: boolean
}

/** The same OID, issued by the module itself. */
export interface OwnRequest {
  readonly nic: number
  /** The connection that it is issued for; without, for itself. */
  readonly source?: readonly [port: number, nic: number]
  /** Takes no reference on the source. */
  readonly unreferenced?: boolean
  /** Gives its references back before the request completes. */
  readonly early?: boolean
}

export interface Script {
  readonly name: string
  readonly replies?: Readonly<Record<string, Reply>>
  readonly on?: Readonly<Record<string, readonly Command[]>>
  readonly inAttach?: readonly Command[]
  readonly inRestart?: readonly Command[]
  readonly status?: 'change' | 'discard' | 'redirect'
  readonly failRestart?: boolean
  readonly failAttach?: boolean
  /** Forwards what was left pending, after so long and so often. */
  readonly answerAfterMs?: number
  readonly answerTimes?: number
  /** Milliseconds that a pause takes. */
  readonly pauseMs?: number
  readonly activateThrows?: boolean
  /** OIDs whose payload it logs: "payload NAME {…}". */
  readonly shows?: readonly string[]
  /** For forwarding extensions: ids of the ports that every frame goes to. */
  readonly to?: readonly number[]
}

const short = (oid: number): string => oidName(oid).replace('OID_SWITCH_', '')

class ScriptedModule {
  readonly sw: SwitchHandle
  readonly script: Script
  readonly answered = new Map<string, number>()

  constructor(sw: SwitchHandle, script: Script) {
    this.sw = sw
    this.script = script
    if (script.failAttach) throw new Error('not today')
    for (const command of script.inAttach ?? []) this.run(command)
  }

  handlers(): ExtensionHandlers {
    const { script, sw } = this
    const { to } = script
    return {
      ...(to && {
        ingress: (batch) => {
          for (let i = 0; i < batch.length; i++) for (const port of to) batch.addDestination(i, port)
        },
      }),
      oid: (request, answer) => this.oid(request, answer),
      oidComplete: ({ oid, payload }, { status }) => {
        sw.log(`done ${short(oid)}${subject(payload)} ${status.toString(16)}`)
        for (const command of script.on?.[`${short(oid)}.done`] ?? []) this.run(command)
      },
      status: (indication) => this.status(indication),
      activate: () => {
        sw.log('activate')
        if (script.activateThrows) throw new Error('of no interest')
      },
      pause: () => {
        sw.log('pause')
        if (script.pauseMs !== undefined) return new Promise((resolve) => setTimeout(resolve, script.pauseMs))
        return undefined
      },
      restart: () => {
        sw.log('restart')
        if (script.failRestart) throw new Error('not now')
        for (const command of script.inRestart ?? []) this.run(command)
      },
      detach: () => sw.log('detach'),
    }
  }

  oid(request: OidRequest, answer: OidAnswer): OidVerdict | Promise<OidVerdict> {
    const name = short(request.oid)
    const payload = (request.payload ?? {}) as Partial<NicParameters & NicOidRequest> & {
      portName?: string
      portFriendlyName?: string
    }
    this.sw.log(`oid ${name}${subject(payload)}`)
    if (this.script.shows?.includes(name)) this.sw.log(`payload ${name} ${JSON.stringify(payload)}`)
    const told = request.oid === Oid.portUpdated ? (payload.portFriendlyName ?? '') : ''
    if (told.startsWith(`${this.script.name}: `))
      for (const command of JSON.parse(told.slice(this.script.name.length + 2)) as Command[]) this.run(command)
    for (const command of this.script.on?.[name] ?? []) this.run(command)
    const reply = this.script.replies?.[name]
    if (!reply || !(payload.portName ?? payload.nicName ?? '').includes(reply.for ?? '')) return undefined
    if (reply.nicIndex !== undefined && payload.nicIndex !== reply.nicIndex) return undefined
    const before = this.answered.get(name) ?? 0
    const { after = 0, times = Number.POSITIVE_INFINITY } = reply
    if (before >= after + times) return undefined
    this.answered.set(name, before + 1)
    if (before < after) return undefined
    if (reply.modify) Object.assign(request.payload as object, { portName: 'forged', nicName: 'forged' })
    if (reply.never) return new Promise(() => {})
    if (reply.pending) {
      const { answerAfterMs, answerTimes = 1 } = this.script
      if (answerAfterMs !== undefined)
        setTimeout(() => {
          for (let n = 0; n < answerTimes; n++) answer.forward()
        }, answerAfterMs)
      return 'pending'
    }
    if (reply.mtu !== undefined) return { forward: { ...payload, mtu: reply.mtu } }
    if (reply.member !== undefined)
      return { forward: { ...payload, destinationNicIndex: reply.member, ...(reply.forge ? { sourcePortId: 0 } : {}) } }
    if (reply.own) return this.byOwnRequest(payload as NicOidRequest, reply.own)
    return reply.status === undefined ? undefined : { status: reply.status }
  }

  async byOwnRequest(above: NicOidRequest, { nic, source, unreferenced, early }: OwnRequest): Promise<OidVerdict> {
    const { sw } = this
    const { destinationPortId: external } = above
    sw.referenceNic(external, nic)
    if (source && !unreferenced) sw.referenceNic(...source)
    const giveBack = (): void => {
      sw.dereferenceNic(external, nic)
      if (source && !unreferenced) sw.dereferenceNic(...source)
    }
    const [sourcePortId, sourceNicIndex] = source ?? [0, 0]
    const payload: NicOidRequest = { ...above, sourcePortId, sourceNicIndex, destinationNicIndex: nic }
    const issued = sw.request({ oid: Oid.nicRequest, type: 'method', payload })
    if (early) giveBack()
    const { status } = await issued
    if (!early) giveBack()
    sw.log(`own ${status.toString(16)}`)
    return { status }
  }

  status(indication: NicStatusIndication): ReturnType<NonNullable<ExtensionHandlers['status']>> {
    const { sourcePortId, sourceNicIndex, destinationPortId, destinationNicIndex, statusIndication } = indication
    this.sw.log(
      `status ${statusIndication.statusCode.toString(16)} ${sourcePortId}/${sourceNicIndex} to ${destinationPortId}/${destinationNicIndex} ${String(statusIndication.statusBuffer)}`,
    )
    if (this.script.status === 'discard') return 'discard'
    if (this.script.status === 'redirect') return { ...indication, destinationPortId: 1 }
    if (this.script.status === 'change')
      return { ...indication, statusIndication: { ...statusIndication, statusBuffer: 'changed' } }
    return undefined
  }

  run(command: Command): void {
    const { sw } = this
    const say = (status: number, rest = ''): void => sw.log(`${command.do} ${status.toString(16)}${rest}`)
    switch (command.do) {
      case 'referencePort':
        say(sw.referencePort(command.port))
        return
      case 'dereferencePort':
        say(sw.dereferencePort(command.port))
        return
      case 'referenceNic':
        say(sw.referenceNic(command.port, command.nic ?? 0))
        return
      case 'dereferenceNic':
        say(sw.dereferenceNic(command.port, command.nic ?? 0))
        return
      case 'direct':
      case 'pretend': {
        const packet = sw.originate(new Uint8Array(60))
        if (command.do === 'pretend') say(sw.setSource(packet, command.port, command.nic ?? 0))
        else say(sw.addDestination(packet, command.port, command.nic ?? 0) ? 0 : 1)
        sw.release(packet, 'tried')
        return
      }
      case 'indicate':
        say(sw.indicateStatus(command.indication))
        return
      case 'query':
      case 'request': {
        const done = command.do === 'query' ? sw.query(command.oid, command.input, command.room) : sw.request(command.request)
        void done.then(({ status, output, bytesNeeded }) =>
          say(status, ` ${JSON.stringify(output) ?? '-'} ${bytesNeeded ?? '-'}`),
        )
      }
    }
  }
}

const subject = (payload: unknown): string => {
  const { portName, nicName, nicIndex, destinationPortId, destinationNicIndex, sourcePortId, sourceNicIndex } =
    payload as Partial<NicParameters & NicOidRequest> & { portName?: string }
  if (portName !== undefined) return ` ${portName}`
  if (nicName !== undefined) return ` ${nicName}/${nicIndex}`
  if (destinationPortId !== undefined) return ` ${sourcePortId}/${sourceNicIndex} to ${destinationPortId}/${destinationNicIndex}`
  return ''
}

/** A scripted extension of a class. */
export const scripted = (extensionClass: ExtensionClass, id: string) =>
  defineExtension<Script>({
    id,
    name: `scripted ${extensionClass} extension`,
    version: '1.0.0',
    class: extensionClass,
    parseOptions: (raw) => raw as Script,
    attach: (sw, script) => new ScriptedModule(sw, script).handlers(),
  })
