// `vmswitch counters` and `vmswitch drops`: what passed, and what did not and why. Read without stopping anything.
import type { CommandContext } from '../command-context.ts'
import { count } from '../units.ts'

export async function counters({ terminal, connect }: CommandContext): Promise<void> {
  const answer = await (await connect()).counters()
  if (terminal.json) return terminal.data(answer)
  const right = (title: string) => ({ title, align: 'right' as const })
  terminal.table(
    [
      { title: 'PORT', flexible: true },
      right('RECEIVED'),
      right('BYTES'),
      right('DROPPED'),
      right('MULTICAST'),
      right('FLOODED'),
      right('SENT'),
      right('BYTES'),
      right('DROPPED'),
    ],
    answer.ports.map(({ name, counters: of }) => [
      name,
      count(of.receivedFrames),
      count(of.receivedBytes),
      count(of.receivedDropped),
      count(of.receivedMulticast),
      count(of.floodedFrames),
      count(of.sentFrames),
      count(of.sentBytes),
      count(of.sendDropped),
    ]),
    'the switch has no ports',
  )
  const groups = [
    ...answer.extensions.map(({ name, counters: of }) => [`extension ${name}`, of] as const),
    ...answer.processors.map(({ id, counters: of }) => [`processor ${id}`, of] as const),
  ]
  const rows = groups.flatMap(([owner, of]) => Object.entries(of).map(([name, value]) => [owner, name, count(value)]))
  if (rows.length === 0) return
  terminal.line('')
  terminal.table([{ title: 'OF', flexible: true }, { title: 'COUNTER', flexible: true }, right('VALUE')], rows, '')
}

export async function drops({ terminal, connect }: CommandContext): Promise<void> {
  const answer = await (await connect()).drops()
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [
      { title: 'PORT', flexible: true },
      { title: 'REASON', flexible: true },
      { title: 'FRAMES', align: 'right' },
    ],
    answer.map(({ port, reason, frames }) => [port, reason, count(frames)]),
    'nothing was dropped',
  )
}
