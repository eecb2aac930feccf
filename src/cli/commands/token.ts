// `vmswitch token`: the tokens of those who may ask a service over the network.
import { resolve } from 'node:path'
import type { Role } from '../../manage/control/access.ts'
import { addToken, readTokens, removeToken } from '../../manage/network/tokens.ts'
import type { CommandContext } from '../command-context.ts'

/** Prints the token alone on standard output, so that it can be piped; it is kept nowhere but as a hash. */
export async function addOne({ terminal, cwd }: CommandContext, name: string, role: Role, file: string): Promise<void> {
  const path = resolve(cwd, file)
  const token = addToken(path, { name, role })
  if (terminal.json) return terminal.data({ name, role, file: path, token })
  terminal.line(token)
  terminal.note(`this is the token of ${name} (${role}); it is not shown again, ${path} has its hash`)
}

export async function listTokens({ terminal, cwd }: CommandContext, file: string): Promise<void> {
  const entries = readTokens(resolve(cwd, file)).map(({ name, role }) => ({ name, role }))
  if (terminal.json) return terminal.data(entries)
  terminal.table(
    [{ title: 'NAME' }, { title: 'ROLE' }],
    entries.map(({ name, role }) => [name, role]),
    'there are no tokens',
  )
}

export async function removeOne({ terminal, cwd }: CommandContext, name: string, file: string): Promise<void> {
  removeToken(resolve(cwd, file), name)
  if (terminal.json) return terminal.data({})
  terminal.line(`the token of ${name} is gone: a service that reads the file refuses it within a second`)
}
