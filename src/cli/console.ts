// The web console for commands that run a switch: where its files are, and its listener if one is asked for.
import { fileURLToPath } from 'node:url'
import type { ConsoleServer } from '../manage/console/console-server.ts'
import type { ControlComponents } from '../manage/control/control-server.ts'

/** Where scripts/build-console.mjs puts the console. */
export const consoleDirectory = fileURLToPath(new URL('../../.cache/console', import.meta.url))

export interface ConsoleWish {
  /** HOST:PORT, or true for the usual place. */
  readonly console?: string | true
  readonly consoleReadOnly?: boolean
}

/** Checks where the console is to be served before anything is started. Throws ControlError `bad-listen`, `console-not-local`. */
export async function checkConsole({ console: wanted }: ConsoleWish): Promise<void> {
  if (typeof wanted !== 'string') return
  const { consoleAddress } = await import('../manage/console/console-server.ts')
  consoleAddress(wanted)
}

/** Starts the listener that is asked for; `configured`: if nothing is said. Null: none is. */
export async function startConsole(
  { console: wanted, consoleReadOnly = false }: ConsoleWish,
  components: ControlComponents,
  configured?: string,
): Promise<ConsoleServer | null> {
  const listen = wanted ?? configured
  if (listen === undefined && !consoleReadOnly) return null
  const { CONSOLE_ADDRESS, startConsoleServer } = await import('../manage/console/console-server.ts')
  const usual = listen === undefined || listen === true
  return startConsoleServer(
    { listen: usual ? CONSOLE_ADDRESS : listen, anyPort: usual },
    { ...components, access: consoleReadOnly ? 'read' : (components.access ?? 'change') },
  )
}
