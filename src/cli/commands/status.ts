// `vmswitch status`: one switch at a glance.
import type { CommandContext } from '../command-context.ts'
import { bytes, count, duration, nanoseconds } from '../units.ts'

export async function status({ terminal, connect }: CommandContext): Promise<void> {
  const answer = await (await connect()).status()
  if (terminal.json) return terminal.data(answer)
  const { processors, ports, extensions, macTable, memory } = answer
  const failed = extensions.failed === 0 ? '' : `, ${terminal.style('red', `${extensions.failed} failed`)}`
  const facts: [string, string][] = [
    ['switch', `${answer.name} (${answer.type}), vmswitch ${answer.version}, process ${answer.pid}`],
    ['running for', duration(answer.uptimeSeconds)],
    ['configuration', answer.file],
    ['runtime directory', answer.runtimeDirectory],
    ['control socket', answer.control],
    ['ports', `${ports.total}, ${ports.connected} connected`],
    ['extensions', `${extensions.total}, ${extensions.enabled} enabled${failed}`],
    ['MAC table', `${count(macTable.used)} of ${count(macTable.capacity)} entries, ageing ${macTable.ageingSeconds} s`],
    ['frames', `${count(answer.receivedFrames)} received, ${count(answer.droppedFrames)} dropped`],
    [
      'memory',
      `${bytes(memory.residentBytes)} resident, ${bytes(memory.guestBytesAvailable)} left for guests on the wasm engine`,
    ],
    ...processors.map(({ id, latencyNs: { p50, p99, p999 } }): [string, string] => [
      `processor ${id}`,
      `burst latency ${nanoseconds(p50)} (50 %), ${nanoseconds(p99)} (99 %), ${nanoseconds(p999)} (99.9 %)`,
    ]),
  ]
  const width = Math.max(...facts.map(([name]) => name.length))
  for (const [name, value] of facts) terminal.line(`${terminal.style('dim', name.padEnd(width))}  ${value}`)
}
