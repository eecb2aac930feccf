// Writes the reference in docs/cli.md from the command line's own definition.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { commandTree } from '../src/cli/completion/command-tree.ts'
import { cliReference, REFERENCE_MARK } from '../src/cli/completion/reference.ts'
import { cmdlets } from '../src/cli/hyper-v/cmdlets.ts'
import { createProgram } from '../src/cli/program.ts'

const file = fileURLToPath(new URL('../docs/cli.md', import.meta.url))
const [written] = readFileSync(file, 'utf8').split(REFERENCE_MARK)
const tree = commandTree(createProgram('', () => {}))
writeFileSync(file, `${written}${REFERENCE_MARK}\n\n${cliReference(tree, cmdlets)}`)
