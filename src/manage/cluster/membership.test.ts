import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { natsServer, noNatsServer } from '../../../test/support/nats-server.ts'
import type { ResolvedConfig } from '../config/types.ts'
import type { NetworkStatus } from './cluster-calls.ts'
import { Membership } from './membership.ts'
import type { StoredMembership } from './stored-membership.ts'

const skip = noNatsServer()
const WAIT_MS = 30_000
const LOOK_MS = 20

type Cluster = NonNullable<ResolvedConfig['cluster']>

/** A service's membership, with what a store keeps of it, and a configuration that can be another one. */
function service(t: TestContext) {
  let stored: StoredMembership | null = null
  let config = { switch: { ports: [] } } as unknown as ResolvedConfig
  const codes: string[] = []
  const make = () =>
    new Membership({
      load: () => stored,
      save: (membership) => {
        stored = membership
      },
      config: () => config,
      overlay: () => null,
      impose: async () => {},
      imposedOn: () => [],
      port: () => null,
      abandon: async () => {},
      api: () => null,
      log: ({ code }) => codes.push(code),
      software: '1',
    })
  let membership = make()
  t.after(() => membership.close())
  return {
    codes,
    calls: () => membership,
    stored: () => stored,
    apply: (cluster: Cluster | undefined) => {
      const { cluster: _, ...rest } = config
      config = cluster === undefined ? rest : { ...rest, cluster }
      membership.configChanged()
    },
    restart: async () => {
      await membership.close()
      membership = make()
      membership.start()
      membership.configChanged()
    },
    sees: async (what: string, condition: (status: NetworkStatus) => boolean) => {
      const end = performance.now() + WAIT_MS
      for (;;) {
        const status = await membership.network()
        if (condition(status)) return
        assert.ok(performance.now() < end, `${what}: ${JSON.stringify(status)}`)
        await sleep(LOOK_MS)
      }
    },
  }
}

test('a service joins the network that its configuration names, follows a change of it, and leaves with it', {
  skip,
}, async (t) => {
  const server = await natsServer(t)
  const one = service(t)
  const two = service(t)
  const cluster = { servers: server.url, network: 'lab', name: 'one', provider: ['192.0.2.1'] }
  one.apply(cluster)
  await one.sees('joined', ({ state, network, host }) => state === 'joined' && network === 'lab' && host === 'one')
  await assert.rejects(one.calls().leave(), { code: 'refused', message: /take cluster out of it/ })
  await assert.rejects(one.calls().join({ servers: server.url, network: 'other' }), { code: 'already-joined' })

  two.apply({ servers: 'nats://127.0.0.1:9', network: 'lab', name: 'two' })
  await two.sees('a server that is not there', ({ message }) => message !== null)
  two.apply({ servers: server.url, network: 'lab', name: 'two' })
  const names = ({ hosts }: NetworkStatus) => hosts.map(({ name }) => name).join()
  await two.sees('both', (status) => names(status) === 'one,two')

  one.apply({ ...cluster, name: 'first' })
  await two.sees('the other name', (status) => names(status) === 'first,two')
  await one.restart()
  await one.sees('its network again', ({ state, host }) => state === 'joined' && host === 'first')
  assert.equal(one.codes.filter((code) => code === 'left').length, 1, 'the same configuration changes nothing')

  one.apply(undefined)
  await one.sees('no network', ({ state, network }) => state === 'alone' && network === null)
  await two.sees('itself alone', (status) => names(status) === 'two')
  assert.equal(one.stored(), null)
})

test('a service that was joined by hand stays, whatever else of its configuration changes', { skip }, async (t) => {
  const server = await natsServer(t)
  const one = service(t)
  await one.calls().join({ servers: server.url, network: 'lab', host: 'one' })
  one.apply(undefined)
  await one.restart()
  await one.sees('its network', ({ state, host }) => state === 'joined' && host === 'one')
  assert.deepEqual(await one.calls().leave(), { left: [] })
})
