// Which host `vmswitch trace --follow` asks, where no network says it.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startControlServer } from '../manage/control/control-server.ts'
import { fakeHost } from '../manage/control/fake-host.ts'
import type { TraceTunnel } from '../manage/diagnosis/diagnosis-calls.ts'
import type { CommandContext } from './command-context.ts'
import { reachHosts } from './commands/follow.ts'

test('a tunnel whose host nobody knows, a group, and a host that can not be asked each say so', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-reach-'))
  const socket = join(directory, 'control.sock')
  const server = await startControlServer({ path: socket }, { host: fakeHost().host, log: () => {} })
  t.after(async () => {
    await server.close()
    rmSync(directory, { recursive: true })
  })
  const context = { env: { HOME: directory }, cwd: directory, control: async () => socket } as unknown as CommandContext
  const reach = await reachHosts(context, { follow: true })
  const to = (provider: string, host: string | null = null): TraceTunnel => ({
    packet: 1,
    port: 'wire',
    provider,
    host,
    frame: '',
  })
  await assert.rejects(reach(to('192.0.2.9')), { code: 'unknown-host', message: /192\.0\.2\.9: name it with --to-host/ })
  await assert.rejects(reach(to('239.1.1.1')), { code: 'group' })
  await assert.rejects(reach(to('ff05::1')), { code: 'group' })
  const [two] = await reach(to('192.0.2.2', 'two'))
  await assert.rejects(two!.connect(), { code: 'no-api' })
  const named = await reachHosts(context, { toHost: ['https://192.0.2.9:8443'] })
  await assert.rejects(named(to('192.0.2.9')), { code: 'no-token' })
})
