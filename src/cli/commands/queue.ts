// `vmswitch queue …`: receive queues of adapters in VMQ mode.
import type { QueueStatus } from '../../manage/adapters/queue-calls.ts'
import type { CommandContext } from '../command-context.ts'
import { count } from '../units.ts'

const filterText = ({ filter }: QueueStatus): string => {
  if (filter === null) return '-'
  return filter.vlan === null ? filter.mac : `${filter.mac} ${filter.vlan === 'untagged' ? 'untagged' : `vlan ${filter.vlan}`}`
}

export async function listQueues({ terminal, connect }: CommandContext): Promise<void> {
  const answer = await (await connect()).queues()
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [
      { title: 'ADAPTER', flexible: true },
      { title: 'QUEUE', align: 'right' },
      { title: 'PORT', flexible: true },
      { title: 'WEIGHT', align: 'right' },
      { title: 'STATE' },
      { title: 'PROCESSOR', align: 'right' },
      { title: 'STEERED BY' },
      { title: 'RECEIVED', align: 'right' },
      { title: 'HANDED OVER', align: 'right' },
      { title: 'DROPPED', align: 'right' },
      { title: 'FILTER', flexible: true },
    ],
    answer.map((queue) => [
      queue.adapter,
      String(queue.queue),
      queue.port ?? '(default)',
      queue.weight === null ? '-' : String(queue.weight),
      queue.state,
      `${queue.processor}${queue.port !== null && queue.pinned ? '*' : ''}`,
      queue.steering,
      count(queue.counters.receivedFrames),
      count(queue.counters.handedOver),
      count(queue.counters.dropped),
      filterText(queue),
    ]),
    'the switch has no adapter in VMQ mode',
  )
  for (const { adapter, serves } of answer)
    for (const { port, reason } of serves) terminal.note(`# the default queue of ${adapter} serves ${port}: ${reason}`)
  const software = answer.find(({ steering }) => steering === 'software')
  if (software) terminal.note(`# steered by software: ${software.steeringReason}`)
}

export async function setQueue({ terminal, connect }: CommandContext, port: string, processor: number | null): Promise<void> {
  const answer = await (await connect()).setQueue({ port, processor })
  if (terminal.json) return terminal.data(answer)
  const how = answer.pinned ? 'whatever the load is' : 'as long as the load has it so'
  terminal.line(`processor ${answer.processor} serves queue ${answer.queue} of ${port}, ${how}`)
}
