// `vmswitch fdb [flush]`: which address is behind which port, and forgetting what was learned.
import type { FdbFilter } from '../../manage/host.ts'
import type { CommandContext } from '../command-context.ts'

export async function fdb({ terminal, connect }: CommandContext, filter: FdbFilter): Promise<void> {
  const answer = await (await connect()).fdb(filter)
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [
      { title: 'VLAN', align: 'right' },
      { title: 'MAC' },
      { title: 'PORT', flexible: true },
      { title: 'KIND' },
      { title: 'AGE', align: 'right' },
    ],
    answer.map(({ vlan, mac, port, kind, ageSeconds }) => [
      String(vlan),
      mac,
      port,
      kind,
      ageSeconds === null ? '-' : `${ageSeconds} s`,
    ]),
    'no addresses are known',
  )
}

export async function flushFdb({ terminal, connect }: CommandContext, filter: FdbFilter): Promise<void> {
  const flushed = await (await connect()).flushFdb(filter)
  if (terminal.json) return terminal.data({ flushed })
  terminal.line(flushed === 1 ? '1 learned address forgotten' : `${flushed} learned addresses forgotten`)
}
