// `vmswitch port show|set|rename|remove`: one port of a running switch.
import type { PortStatus } from '../../manage/host.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import type { Terminal } from '../terminal.ts'
import { bytes, count } from '../units.ts'
import { type BandwidthOptions, bandwidthChange, bandwidthText, changeBandwidth } from './bandwidth.ts'
import { portPlace } from './ports.ts'

export interface PortOptions extends BandwidthOptions {
  readonly link?: 'up' | 'down'
  readonly mtu?: number
  readonly mirror?: PortStatus['portMirroring']
  readonly session?: number
  readonly direction?: PortStatus['monitorDirection']
  readonly mirrorVlan?: number
  readonly tenant?: string
  readonly loadBalancing?: 'HyperVPort' | 'Dynamic'
  readonly standby?: string[]
}

function mirrorText({ portMirroring, monitorSession, monitorDirection, monitorVlan }: PortStatus): string {
  if (portMirroring === 'none') return 'none'
  if (portMirroring === 'source')
    return `source of session ${monitorSession}${monitorDirection === 'both' ? '' : `, what is ${monitorDirection}`}`
  const vlan = monitorVlan === 0 ? '' : `, in VLAN ${monitorVlan}`
  return `${portMirroring === 'all' ? 'gets everything' : `destination of session ${monitorSession}`}${vlan}`
}

function show(terminal: Terminal, port: PortStatus): void {
  const { counters, iov } = port
  const rows = [
    ['name for people', port.friendlyName],
    ['endpoint', `${port.endpoint.kind} ${portPlace(port.endpoint, port.uplinks)}`.trim()],
    ['link', `${port.link}, ${port.connected ? 'connected' : 'nobody is there'}`],
    ['address', port.mac ?? 'learns'],
    ['MTU', String(port.mtu)],
    ['mirroring', mirrorText(port)],
    ...(port.tenant === '' ? [] : [['tenant', port.tenant]]),
    ...(iov === null ? [] : [['SR-IOV', `weight ${iov.weight}, ${iov.form} at ${iov.path}`]]),
    ['bandwidth', bandwidthText(port)],
    ['received', `${count(counters.receivedFrames)} frames, ${bytes(counters.receivedBytes)}`],
    ['sent', `${count(counters.sentFrames)} frames, ${bytes(counters.sentBytes)}`],
    ['dropped', `${count(counters.receivedDropped + counters.sendDropped)} frames`],
  ]
  const width = Math.max(...rows.map(([title]) => title!.length))
  for (const [title, text] of rows) terminal.line(`${title!.padEnd(width)}  ${text}`)
}

export async function showPort({ terminal, connect }: CommandContext, name: string): Promise<void> {
  const all = await (await connect()).ports()
  const port = all.find((candidate) => candidate.name === name)
  if (port === undefined) {
    const { didYouMean } = await import('../../manage/config/suggest.ts')
    const names = all.map((candidate) => candidate.name)
    throw new CliError('no-such-port', `there is no port "${name}"`, didYouMean(name, names))
  }
  if (terminal.json) return terminal.data(port)
  show(terminal, port)
}

export async function setPort(context: CommandContext, name: string, options: PortOptions): Promise<void> {
  const { terminal, connect } = context
  const { link, mtu, mirror, session, direction, mirrorVlan, tenant, loadBalancing, standby } = options
  const change = {
    ...(mtu === undefined ? {} : { mtu }),
    ...(mirror === undefined ? {} : { portMirroring: mirror }),
    ...(session === undefined ? {} : { monitorSession: session }),
    ...(direction === undefined ? {} : { monitorDirection: direction }),
    ...(mirrorVlan === undefined ? {} : { monitorVlan: mirrorVlan }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(loadBalancing === undefined && standby === undefined
      ? {}
      : {
          teaming: { ...(loadBalancing === undefined ? {} : { loadBalancing }), ...(standby === undefined ? {} : { standby }) },
        }),
  }
  const changes = Object.keys(change).length > 0
  const bandwidth = bandwidthChange(options)
  if (link === undefined && !changes && bandwidth === undefined)
    throw new CliError('usage', 'nothing is named that could be changed', 'see vmswitch help port set', ExitCode.usage)
  const host = await connect()
  if (bandwidth !== undefined) {
    await changeBandwidth(host, name, bandwidth)
    if (link === undefined && !changes) return showPort(context, name)
  }
  const changed = changes ? await host.setPort(name, change) : undefined
  const port = link === undefined ? changed! : await host.setLink(name, link === 'up')
  if (terminal.json) return terminal.data(port)
  terminal.line(`${port.name}: link ${port.link}, MTU ${port.mtu}, mirroring ${mirrorText(port)}`)
}

export async function renamePort({ terminal, connect }: CommandContext, name: string, friendlyName: string): Promise<void> {
  const port = await (await connect()).setPort(name, { friendlyName })
  if (terminal.json) return terminal.data(port)
  terminal.line(`${port.name} is called "${port.friendlyName}"`)
}

export async function removePort({ terminal, connect }: CommandContext, name: string): Promise<void> {
  await (await connect()).removePort(name)
  if (terminal.json) return terminal.data({})
  terminal.line(`${name} is removed`)
}
