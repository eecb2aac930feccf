// The `vmswitch` command. Keeps what Node makes of the sources between runs, which halves the time to the first listening socket;
// what is loaded before that call is not kept, so everything else is loaded after it.
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

// Where the folder can't be written to, Node goes on without.
enableCompileCache(fileURLToPath(new URL('../../.cache/node', import.meta.url)))
const { run } = await import('./run.ts')
await run()
