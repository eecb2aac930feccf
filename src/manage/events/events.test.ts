import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { startControlServer } from '../control/control-server.ts'
import { fakeHost } from '../control/fake-host.ts'
import { announcedHost } from './announced-host.ts'
import { EVENTS_BEHIND_MAX, EVENTS_KEPT_MAX, EventBus, kindOf, LISTENERS_MAX } from './event-bus.ts'
import { streamEvents } from './event-client.ts'
import { BURST_MIN_FRAMES, SwitchMonitor } from './monitor.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-events-'))
after(() => rmSync(directory, { recursive: true }))

const happening = (code: string, source = 'port alpha') => ({ source, code, message: `it is ${code}` })
const now = () => new Date('2026-01-02T03:04:05Z')

describe('the bus of events', () => {
  test('numbers events and gives each to every listener', async () => {
    const bus = new EventBus(now)
    const listeners = [bus.listen(), bus.listen()]
    bus.publish(happening('port-added'))
    for (const listener of listeners)
      assert.deepEqual(await listener?.next(), {
        number: 1,
        at: '2026-01-02T03:04:05.000Z',
        kind: 'port',
        ...happening('port-added'),
      })
  })

  test('gives what was kept to who comes later and says what it has seen', async () => {
    const bus = new EventBus()
    for (const code of ['a', 'b', 'c']) bus.publish(happening(code))
    const listener = bus.listen({ after: 1 })
    assert.deepEqual([(await listener?.next())?.code, (await listener?.next())?.code], ['b', 'c'])
  })

  test('lets a listener that is behind lose the oldest and tells it how many', async () => {
    const bus = new EventBus()
    const listener = bus.listen()
    for (let i = 0; i < EVENTS_BEHIND_MAX + 5; i++) bus.publish(happening('x'))
    const gap = await listener?.next()
    assert.deepEqual([gap?.kind, gap?.lost, gap?.number], ['gap', 5, 5])
    assert.equal((await listener?.next())?.number, 6)
  })

  test('tells who comes too late what is no longer kept', async () => {
    const bus = new EventBus()
    const published = 2 * EVENTS_KEPT_MAX + 1
    for (let i = 0; i < published; i++) bus.publish(happening('x'))
    const listener = bus.listen({ after: 0 })
    assert.deepEqual((await listener?.next())?.lost, published - EVENTS_BEHIND_MAX)
  })

  test('gives only the kinds that were asked for, and has an end', async () => {
    const bus = new EventBus()
    const listener = bus.listen({ kinds: new Set(['vf']) })
    bus.publish(happening('port-added'))
    bus.publish(happening('vf-assigned'))
    assert.equal((await listener?.next())?.code, 'vf-assigned')
    const next = listener?.next()
    listener?.close()
    assert.equal(await next, null)
  })

  test('takes as many listeners as it says', () => {
    const bus = new EventBus()
    const listeners = Array.from({ length: LISTENERS_MAX }, () => bus.listen())
    assert.equal(bus.listen(), null)
    listeners[0]?.close()
    assert.notEqual(bus.listen(), null)
  })

  test('knows what an event is about', () => {
    const kinds = {
      'vf-active': 'failover',
      'vf-assigned': 'vf',
      'adapter-removed': 'adapter',
      'nic-connected': 'nic',
      'link-down': 'link',
      'drop-burst': 'drops',
      'property-added': 'policy',
      'port-removed': 'port',
      'extension-paused': 'extension',
    }
    for (const [code, kind] of Object.entries(kinds)) assert.equal(kindOf(happening(code)), kind, code)
    assert.equal(kindOf(happening('breach', 'extension acl')), 'extension')
    assert.equal(kindOf(happening('ready', 'service')), 'service')
  })
})

describe('an announced switch', () => {
  test('tells changes that were made, and none that were refused', async () => {
    const bus = new EventBus()
    const listener = bus.listen()
    const host = announcedHost(fakeHost().host, bus.publish)
    await host.ports()
    await assert.rejects(host.removePort('nobody'))
    await host.setLink('alpha', false)
    await host.removePort('alpha')
    assert.deepEqual([(await listener?.next())?.code, (await listener?.next())?.code], ['link-down', 'port-removed'])
  })
})

describe('the monitor of a switch', () => {
  test('tells connections, and bursts of drops with their beginning and end', () => {
    const events: string[] = []
    const monitor = new SwitchMonitor(({ source, code, message }) => events.push(`${source} ${code}: ${message}`))
    const look = (connected: boolean, frames: number): void =>
      monitor.look({
        ports: () => [{ name: 'a', connected }],
        drops: () => [{ port: 'a', reasons: { 'mac-spoofing': frames } }],
      })
    look(false, 5000)
    look(true, 5000 + BURST_MIN_FRAMES - 1)
    assert.deepEqual(events, ['port a nic-connected: its peer is there and ready'])
    look(true, 6000)
    look(true, 7000)
    look(false, 7001)
    assert.deepEqual(events.slice(1), [
      'port a drop-burst: 901 frames were dropped within a second: mac-spoofing',
      'port a nic-disconnected: its peer is gone',
      'port a drop-burst-ended: 1901 frames were dropped: mac-spoofing',
    ])
  })
})

describe('GET /v1/events', () => {
  test('streams lines of JSON to a client, and server-sent events to a browser', async () => {
    const bus = new EventBus()
    const path = join(directory, 'control.sock')
    const server = await startControlServer({ path }, { host: fakeHost().host, log: () => {}, events: bus })
    bus.publish(happening('port-added'))
    const codes: string[] = []
    for await (const event of streamEvents(path, { after: 0, kinds: ['port', 'vf'] })) {
      codes.push(event.code)
      if (codes.length === 1) bus.publish(happening('vf-assigned'))
      else break
    }
    assert.deepEqual(codes, ['port-added', 'vf-assigned'])

    const { request } = await import('node:http')
    const text = await new Promise<string>((resolve, reject) => {
      const headers = { accept: 'text/event-stream', 'last-event-id': '1' }
      const outgoing = request({ socketPath: path, path: '/v1/events', headers, agent: false }, (incoming) => {
        assert.equal(incoming.headers['content-type'], 'text/event-stream')
        let all = ''
        incoming.setEncoding('utf8').on('data', (chunk: string) => {
          all += chunk
          if (!all.includes('data:')) return
          resolve(all)
          outgoing.destroy()
        })
      })
      outgoing.on('error', reject).end()
    })
    assert.match(text, /^: ready\n\nid: 2\nevent: vf\ndata: \{"number":2,.*"code":"vf-assigned".*\}\n\n$/)
    await assert.rejects(streamEvents(path, { kinds: ['nonsense'] }).next(), /kinds: "nonsense" is none of service, /)
    await server.close()
  })
})
