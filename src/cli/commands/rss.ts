// `vmswitch queue rss|move|vmmq`: how frames are spread over the queue pairs of guests.
import type { RssMove, RssStatus } from '../../manage/adapters/queue-calls.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError } from '../exit.ts'
import { count } from '../units.ts'

const ENTRIES_A_LINE = 16

export async function showRss({ terminal, connect }: CommandContext, port?: string): Promise<void> {
  const all = await (await connect()).rss()
  const answer = port === undefined ? all : all.filter((guest) => guest.port === port)
  if (port !== undefined && answer.length === 0)
    throw new CliError('no-queue-pairs', `the guest behind port "${port}" does not receive on several queue pairs`)
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [
      { title: 'PORT', flexible: true },
      { title: 'VMMQ' },
      { title: 'QUEUE PAIR', align: 'right' },
      { title: 'PROCESSOR', align: 'right' },
      { title: 'ENTRIES', align: 'right' },
      { title: 'FRAMES', align: 'right' },
    ],
    answer.flatMap(({ port: name, vmmqEnabled, queuePairs }) =>
      queuePairs.map(({ queuePair, processor, entries, frames }) => [
        name,
        vmmqEnabled ? 'on' : 'off',
        String(queuePair),
        String(processor),
        String(entries),
        count(frames),
      ]),
    ),
    'no guest receives on several queue pairs',
  )
  for (const { port: name, moves } of answer)
    terminal.note(`# ${name}: ${moves.done} moves done, ${moves.forced} of them forced, ${moves.waiting} waiting`)
  if (port !== undefined) for (const guest of answer) showTable(terminal, guest)
}

// The queue pair of each entry, as ethtool -x shows it.
function showTable(terminal: CommandContext['terminal'], { indirectionTable }: RssStatus): void {
  for (let first = 0; first < indirectionTable.length; first += ENTRIES_A_LINE) {
    const pairs = indirectionTable.slice(first, first + ENTRIES_A_LINE).map((pair) => String(pair).padStart(2))
    terminal.line(`${String(first).padStart(5)}:  ${pairs.join(' ')}`)
  }
}

export async function moveRss({ terminal, connect }: CommandContext, move: RssMove): Promise<void> {
  const answer = await (await connect()).moveRss(move)
  if (terminal.json) return terminal.data(answer)
  terminal.line(`${move.entries.length} entries of ${move.port} move from queue pair ${move.from} to ${move.to}`)
}

export async function setVmmq(
  { terminal, connect }: CommandContext,
  port: string,
  { enabled, queuePairs }: { readonly enabled?: boolean; readonly queuePairs?: number | 'all' },
): Promise<void> {
  if (enabled === undefined && queuePairs === undefined)
    throw new CliError('bad-arguments', 'nothing to change: name --enabled, --no-enabled or --queue-pairs')
  const answer = await (await connect()).setVmmq({
    port,
    ...(enabled === undefined ? {} : { vmmqEnabled: enabled }),
    ...(queuePairs === undefined ? {} : { vmmqQueuePairs: queuePairs === 'all' ? null : queuePairs }),
  })
  if (terminal.json) return terminal.data(answer)
  const used = new Set(answer.indirectionTable).size
  terminal.line(`frames to ${port} are spread over ${used} of ${answer.receiving} queue pairs`)
}
