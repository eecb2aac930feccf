// `vmswitch team`: the team of uplinks, and what each member carries.
import type { CommandContext } from '../command-context.ts'
import { bytes, count } from '../units.ts'

export async function team({ terminal, connect }: CommandContext): Promise<void> {
  const found = await (await connect()).team()
  if (terminal.json) return terminal.data(found)
  if (found === null) return terminal.line('the switch has no team of uplinks')
  const { port, loadBalancing, failovers, announced } = found
  terminal.line(
    `${port}: switch-independent, ${loadBalancing}; ${count(failovers)} changes, ${count(announced)} addresses announced`,
  )
  terminal.table(
    [
      { title: 'MEMBER' },
      { title: 'ROLE' },
      { title: 'LINK' },
      { title: 'STATE' },
      { title: 'SENT', align: 'right' },
      { title: 'BYTES', align: 'right' },
      { title: 'RECEIVED', align: 'right' },
      { title: 'DUPLICATES', align: 'right' },
      { title: 'OWN', align: 'right' },
      { title: 'PORTS', flexible: true },
    ],
    found.members.map(({ name, role, link, active, designated, ports, counters }) => [
      name,
      role,
      link,
      designated ? 'active, designated' : active ? 'active' : 'waits',
      count(counters.sentFrames),
      bytes(counters.sentBytes),
      count(counters.receivedFrames),
      count(counters.duplicates),
      count(counters.reflections),
      ports.join(' '),
    ]),
    'it has no members',
  )
}
