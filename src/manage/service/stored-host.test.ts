import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeHost } from '../control/fake-host.ts'
import type { StartedSwitch } from '../start-switch.ts'
import { storedHost } from './stored-host.ts'

test('what was done to a running switch and can not be stored is undone', async () => {
  const { host, calls } = fakeHost()
  const stored = storedHost({
    current: () => ({ host }) as unknown as StartedSwitch,
    change: async (work, _next, undo) => {
      await work()
      await undo?.()
      throw new Error('not stored')
    },
  })
  const refused = async (work: Promise<unknown>): Promise<readonly string[]> => {
    await assert.rejects(work, /not stored/)
    return calls.splice(0)
  }
  assert.deepEqual(await refused(stored.pauseExtension({ name: 'acl', paused: true })), [
    'pauseExtension {"name":"acl","paused":true}',
    'pauseExtension {"name":"acl","paused":false}',
  ])
  assert.match((await refused(stored.assignVf('alpha'))).join(), /^assignVf.*removeVf/)
  assert.match((await refused(stored.removeVf({ port: 'alpha', surprise: false }))).join(), /^removeVf.*assignVf/)
})
