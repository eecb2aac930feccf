// `vmswitch events`: what happens, as it happens, until Ctrl-C.
import { streamEvents } from '../../manage/events/event-client.ts'
import type { CommandContext } from '../command-context.ts'
import { ExitCode } from '../exit.ts'

export interface EventsOptions {
  readonly after?: number
  readonly kinds?: string
}

export async function events({ terminal, control }: CommandContext, { after, kinds }: EventsOptions): Promise<number> {
  const stop = new AbortController()
  const interrupt = (): void => stop.abort()
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  try {
    for await (const event of streamEvents(await control(), { after, kinds: kinds?.split(','), signal: stop.signal })) {
      if (terminal.json) terminal.line(JSON.stringify(event))
      else {
        const { at, kind, source, code, message } = event
        terminal.line(`${terminal.style('dim', at.slice(11, 23))} ${kind.padEnd(9)} ${source}: ${message} (${code})`)
      }
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
  return ExitCode.ok
}
