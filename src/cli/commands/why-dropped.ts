// `vmswitch why-dropped [PORT]`: the last frames that a running switch dropped, with reason, who dropped them, and the frame in words.
import type { DropRecord, LastDropsFilter } from '../../manage/diagnosis/diagnosis-calls.ts'
import type { CommandContext } from '../command-context.ts'
import { count } from '../units.ts'

const where = ({ direction, port, sourcePort }: DropRecord): string =>
  direction === 'inbound' || port === sourcePort ? `from ${port}` : `${sourcePort} to ${port}`

function frames({ frames: of, unkept }: DropRecord): string {
  return unkept === 0 ? count(of) : `${count(of)} (+${count(unkept)})`
}

export async function whyDropped({ terminal, connect }: CommandContext, filter: LastDropsFilter): Promise<void> {
  const answer = await (await connect()).lastDrops(filter)
  if (terminal.json) return terminal.data(answer)
  const total = Object.values(answer.counted).reduce((sum, of) => sum + of, 0)
  terminal.table(
    [
      { title: 'TIME (UTC)' },
      { title: 'WHERE', flexible: true },
      { title: 'REASON', flexible: true },
      { title: 'BY' },
      { title: 'FRAMES', align: 'right' },
      { title: 'FRAME', flexible: true },
    ],
    answer.drops.map((drop) => [
      drop.time.slice(11, 26),
      where(drop),
      drop.reason,
      drop.extension ?? 'the switch',
      frames(drop),
      drop.summary,
    ]),
    total === 0 ? 'nothing was dropped' : 'none of the last drops is of this port',
  )
  if (total === 0) return
  const reasons = Object.entries(answer.counted).map(([reason, of]) => `${reason} ${count(of)}`)
  terminal.line(`dropped since the start: ${count(total)} frames (${reasons.join(', ')})`)
}
