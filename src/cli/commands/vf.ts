// `vmswitch vf …`: virtual functions of guests, and their settings in the words of `ip link`.
import type { HostVf } from '../../linux/sriov/host-adapters.ts'
import type { HostVfWords } from '../../linux/sriov/vf-messages.ts'
import type { AssignedVfStatus, VfShown } from '../../manage/adapters/adapter-calls.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import type { Column } from '../table.ts'
import type { Terminal } from '../terminal.ts'
import { count } from '../units.ts'
import { findAdapter } from './adapter.ts'

/** Options of `vf set`, as commander names them. */
export interface VfOptions {
  readonly vlan?: number
  readonly qos?: number
  readonly spoofchk?: boolean
  readonly trust?: boolean
  readonly maxTxRate?: number
  readonly minTxRate?: number
  readonly state?: 'auto' | 'enable' | 'disable'
  readonly mac?: string
}

const settingColumns: readonly Column[] = [
  { title: 'VF', align: 'right' },
  { title: 'PORT', flexible: true },
  { title: 'MAC' },
  { title: 'VLAN', align: 'right' },
  { title: 'QOS', align: 'right' },
  { title: 'SPOOFCHK' },
  { title: 'TRUST' },
  { title: 'MIN', align: 'right' },
  { title: 'MAX', align: 'right' },
  { title: 'STATE' },
  { title: 'LINK' },
]

const onOff = (value: boolean | null): string => (value === null ? '-' : value ? 'on' : 'off')
const rate = (mbps: number): string => (mbps === 0 ? '-' : count(mbps))
const vlanText = (vlan: number): string => (vlan === 0 ? '-' : String(vlan))

const settingCells = (one: Omit<VfShown, 'state' | 'spoofchk' | 'trust' | 'allocated' | 'link'>, port: string): string[] => [
  String(one.vf),
  port,
  one.mac,
  vlanText(one.vlan),
  String(one.qos),
]

/** VFs of an adapter of the switch with their settings. */
export function showVfs(terminal: Terminal, shown: readonly VfShown[], assigned: readonly AssignedVfStatus[]): void {
  terminal.table(
    settingColumns,
    shown.map((one) => [
      ...settingCells(one, assigned.find(({ vf }) => vf === one.vf)?.port ?? '-'),
      onOff(one.spoofchk),
      onOff(one.trust),
      rate(one.min_tx_rate),
      rate(one.max_tx_rate),
      one.state,
      one.allocated ? (one.link ? 'up' : 'down') : '-',
    ]),
    'the adapter has no VFs',
  )
}

/** VFs of a card of the host. */
export function showHostFunctions(terminal: Terminal, functions: readonly HostVf[]): void {
  const [vf, , ...settings] = settingColumns
  terminal.table(
    [vf!, { title: 'PCI' }, { title: 'DRIVER' }, { title: 'INTERFACE', flexible: true }, ...settings.slice(0, -1)],
    functions.map(({ vf: number, pci, driver, interface: name, settings: set }) => [
      String(number),
      pci,
      driver ?? '-',
      name ?? '-',
      ...(set === null
        ? ['-', '-', '-', '-', '-', '-', '-', '-']
        : [
            set.mac,
            vlanText(set.vlan),
            String(set.qos),
            onOff(set.spoofchk),
            onOff(set.trust),
            rate(set.min_tx_rate),
            rate(set.max_tx_rate),
            set.state ?? '-',
          ]),
    ]),
    'the card has no VFs',
  )
}

function showAssigned(terminal: Terminal, vfs: readonly AssignedVfStatus[]): void {
  terminal.table(
    [
      { title: 'PORT', flexible: true },
      { title: 'ADAPTER', flexible: true },
      { title: 'VF', align: 'right' },
      { title: 'VPORT', align: 'right' },
      { title: 'SERIAL', align: 'right' },
      { title: 'STATE' },
      { title: 'FORM' },
      { title: 'MOVES', align: 'right' },
      { title: 'SOCKET', flexible: true },
    ],
    vfs.map((one) => [
      one.port,
      one.adapter,
      String(one.vf),
      String(one.vport),
      String(one.serialNumber),
      one.state,
      one.form,
      count(one.switchovers),
      one.path,
    ]),
    'no port has a virtual function',
  )
}

export async function listVfs({ terminal, connect }: CommandContext): Promise<void> {
  const answer = await (await connect()).vfs()
  if (terminal.json) return terminal.data(answer)
  showAssigned(terminal, answer)
}

const stateText = {
  waiting: "the guest's driver is awaited, traffic goes through the switch",
  active: 'traffic goes through it',
  removing: 'it is being taken back',
} as const

export async function assignVf({ terminal, connect }: CommandContext, port: string): Promise<void> {
  const answer = await (await connect()).assignVf(port)
  if (terminal.json) return terminal.data(answer)
  terminal.line(`${answer.port} has VF ${answer.vf} of ${answer.adapter}: ${stateText[answer.state]}`)
  if (answer.state === 'waiting') terminal.note(`# attach the guest: vmswitch qemu-args ${answer.port}`)
}

export async function removeVf({ terminal, connect }: CommandContext, port: string, surprise: boolean): Promise<void> {
  await (await connect()).removeVf({ port, surprise })
  if (terminal.json) return terminal.data({})
  terminal.line(`${port} has no VF any more: traffic goes through the switch`)
}

export async function resetVf({ terminal, connect }: CommandContext, port: string): Promise<void> {
  const answer = await (await connect()).resetVf(port)
  if (terminal.json) return terminal.data(answer)
  terminal.line(`VF ${answer.vf} of ${port} is reset: ${stateText[answer.state]}`)
}

export async function setVf(context: CommandContext, name: string, vf: number, options: VfOptions): Promise<void> {
  const { terminal } = context
  const { maxTxRate, minTxRate, vlan, qos, spoofchk, trust, state, mac } = options
  const words: HostVfWords = {
    ...(vlan === undefined ? {} : { vlan }),
    ...(qos === undefined ? {} : { qos }),
    ...(spoofchk === undefined ? {} : { spoofchk }),
    ...(trust === undefined ? {} : { trust }),
    ...(maxTxRate === undefined ? {} : { max_tx_rate: maxTxRate }),
    ...(minTxRate === undefined ? {} : { min_tx_rate: minTxRate }),
    ...(state === undefined ? {} : { state }),
    ...(mac === undefined ? {} : { mac }),
  }
  if (Object.keys(words).length === 0)
    throw new CliError('usage', 'nothing is named that could be changed', 'see vmswitch help vf set', ExitCode.usage)
  const found = await findAdapter(context, name)
  if ('card' in found) {
    const { setHostVf } = await import('../../linux/sriov/host-adapters.ts')
    const changed = setHostVf(name, vf, words)
    if (terminal.json) return terminal.data(changed)
    return showHostFunctions(terminal, [changed])
  }
  if (mac !== undefined)
    throw new CliError(
      'bad-vf-setting',
      "a VF of the switch's adapter has the address of its port",
      'change mac at the port, and give it its VF anew',
    )
  const shown = await (await context.connect()).setVf({ adapter: name, vf, words })
  if (terminal.json) return terminal.data(shown)
  showVfs(terminal, [shown], found.adapter.assigned)
}
