// What operators did to a running switch, and its service was killed: it is there again.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type CliService, startCliService } from '../../../test/support/cli-service.ts'
import { connectControl } from '../control/control-client.ts'
import { ControlError } from '../control/control-errors.ts'
import type { RemoteSwitchHost } from '../host.ts'
import { connectService } from './service-client.ts'

let service: CliService
let host: RemoteSwitchHost
before(async () => {
  service = await startCliService()
  host = connectControl(service.socket)
})
after(() => service.close())

const guest = (name: string, number: number, more: object = {}): object => ({
  name,
  mac: `52:54:00:00:00:0${number}`,
  endpoint: { kind: 'vhost-user', path: `${name}.sock` },
  ...more,
})
const apply = (adapter: object, ports: object[], restart = false): Promise<unknown> =>
  connectService(service.socket).apply({
    config: {
      switch: {
        name: 'kept',
        type: 'external',
        processors: 2,
        extensions: [{ use: 'counters' }, { use: 'acl', options: { default: 'allow' } }],
        ports: [{ name: 'outside', endpoint: { kind: 'adapter', adapter: 'nic0' } }, ...ports],
      },
      adapters: [adapter],
      runtime: { directory: join(service.directory, 'run') },
    },
    file: join(service.directory, 'kept.yaml'),
    restart,
  })
const paused = async (): Promise<string[]> =>
  (await host.extensions()).flatMap(({ name, state }) => (state === 'paused' ? [name] : []))
const assigned = async (): Promise<string[]> => (await host.vfs()).map(({ port }) => port)

describe('a service that was killed has again', () => {
  test('paused extensions, virtual functions where operators gave them, and none where they took them', async () => {
    const iov = (weight: number): object => ({ iov: { weight } })
    await apply({ name: 'nic0', vfs: 2 }, [guest('heavy', 1, iov(100)), guest('light', 2, iov(50))])
    assert.deepEqual(await assigned(), ['heavy', 'light'])
    await host.removeVf({ port: 'heavy', surprise: true })
    await host.pauseExtension({ name: 'acl', paused: true })
    await service.crash()
    assert.deepEqual([await assigned(), await paused()], [['light'], ['acl']])
    await host.assignVf('heavy')
    await host.removeVf({ port: 'light', surprise: true })
    await host.pauseExtension({ name: 'acl', paused: false })
    await service.restart()
    assert.deepEqual([await assigned(), await paused()], [['heavy'], []])
    // What weights say holds again after the adapter was out.
    await host.pullAdapter('nic0')
    await host.plugAdapter('nic0')
    assert.deepEqual(await assigned(), ['heavy', 'light'])
  })

  test('processors that operators chose for queues, and nothing of ports that are gone', async () => {
    const queue = async (name: string) => (await host.queues()).find(({ port }) => port === name)
    await apply({ name: 'nic0', mode: 'vmq', queues: 3 }, [guest('alpha', 1), guest('beta', 2), guest('gamma', 3)], true)
    await host.setQueue({ port: 'alpha', processor: 1 })
    await host.setQueue({ port: 'beta', processor: 1 })
    await host.setQueue({ port: 'beta', processor: null })
    await host.setQueue({ port: 'gamma', processor: 1 })
    await host.removePort('gamma')
    await service.crash()
    assert.deepEqual([(await queue('alpha'))?.pinned, (await queue('alpha'))?.processor], [true, 1])
    assert.equal((await queue('beta'))?.pinned, false)
  })

  test('what was acknowledged, whenever it is killed', async () => {
    await apply({ name: 'nic0', vfs: 1 }, [guest('alpha', 1)], true)
    let acknowledged = new Set<string>()
    let pending = ''
    for (let round = 0; round < 2; round++) {
      const changes = (async () => {
        for (let number = 0; ; number++) {
          const name = number % 2 === 0 ? 'acl' : 'counters'
          const isPaused = acknowledged.has(name)
          pending = name
          await host.pauseExtension({ name, paused: !isPaused })
          acknowledged = new Set(isPaused ? [...acknowledged].filter((one) => one !== name) : [...acknowledged, name])
        }
      })()
      const ended = assert.rejects(changes, (error) => error instanceof ControlError && error.status === 0)
      await new Promise((resolve) => setTimeout(resolve, 150 + 70 * round))
      await Promise.all([service.crash(), ended])
      const found = new Set(await paused())
      for (const name of ['acl', 'counters'])
        assert.ok(name === pending || found.has(name) === acknowledged.has(name), `${name}, round ${round}`)
      acknowledged = found
    }
  })
})
