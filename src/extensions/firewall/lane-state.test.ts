import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { type NicRestoreState, Oid, type OidCompletion, SAVE_DATA_MAX } from '../../extension.ts'
import { tcpFrame, udpFrame } from '../../packet/build.ts'
import { dnsNameBytes } from '../../packet/dns.ts'
import firewall, { FirewallCounter } from './index.ts'

const VM = '02:00:00:00:00:01'
const OUT = '02:00:00:00:00:09'
const ID = firewall.id
const https = { name: 'https', to: ['198.51.100.0/24', '2001:db8::/32'], protocol: 'tcp', ports: 443 }
const pairs = {
  IPv4: { source: '10.0.0.5', destination: '198.51.100.7' },
  IPv6: { source: 'fd00::5', destination: '2001:db8::7' },
}

async function lab(rules: readonly object[] = [https], more: object = {}) {
  const groups = [{ name: 'web', ports: ['web*'], egress: rules }]
  const host = new ExtensionHost([{ definition: firewall, options: { groups, audit: false, ...more } }])
  await host.addPorts({ name: 'web1', mac: VM }, { name: 'out', mac: OUT })
  const { handlers } = host.modules[0]!.module
  const ask = (port: number, pair = pairs.IPv4): void =>
    host.send('web1', tcpFrame({ sourceMac: VM, destinationMac: OUT, ...pair }, port, 443))
  const answers = (port: number, pair = pairs.IPv4): boolean => {
    host.delivered('web1')
    const back = { sourceMac: OUT, destinationMac: VM, source: pair.destination, destination: pair.source }
    host.send('out', tcpFrame(back, 443, port))
    return host.delivered('web1').length === 1
  }
  const save = (): Uint8Array[] => {
    const blocks: Uint8Array[] = []
    for (;;) {
      const payload = { portId: host.id('web1'), nicIndex: 0, saveDataSize: SAVE_DATA_MAX }
      const verdict = handlers.oid!({ oid: Oid.nicSave, payload } as never, {} as never) as OidCompletion | undefined
      if (verdict === undefined) return blocks
      blocks.push((verdict.output as { saveData: Uint8Array }).saveData)
    }
  }
  const restore = (saveData: Uint8Array, extensionId = ID): unknown =>
    handlers.oid!(
      { oid: Oid.nicRestore, payload: { portId: host.id('web1'), extensionId, saveData } as NicRestoreState } as never,
      {} as never,
    )
  return { host, handlers, counters: host.modules[0]!.counters, ask, answers, save, restore }
}

for (const [family, pair] of Object.entries(pairs))
  test(`connections over ${family} go on when the extension is loaded anew with the same rules, and begin anew with others`, async () => {
    const before = await lab()
    before.ask(1001, pair)
    assert.equal(before.answers(1001, pair), true)
    const state = before.handlers.handOver!()
    const same = await lab()
    assert.equal(same.answers(1001, pair), false)
    same.handlers.takeOver!(state)
    assert.equal(same.answers(1001, pair), true)
    assert.equal(same.answers(1002, pair), false)
    const other = await lab([{ ...https, ports: 444 }])
    other.handlers.takeOver!(state)
    assert.equal(other.answers(1001, pair), false)
  })

test('connections and addresses of names stay when another group comes or goes, not when a group that is reached has other members', async () => {
  const names = { name: 'names', domains: ['www.example.org'], resolvers: ['192.0.2.53'], protocol: 'tcp', ports: 443 }
  const data = { name: 'data', groups: ['db'], protocol: 'tcp', ports: 5432 }
  const web = { name: 'web', ports: ['web*'], egress: [https, names, data] }
  const db = { name: 'db', ports: ['db*'] }
  const others = { name: 'others', ports: ['x*'], egress: [{ name: 'more', to: 'any' }] }
  const named = { source: '10.0.0.5', destination: '203.0.113.80' }
  const before = await lab([], { groups: [web, db] })
  before.ask(1001)
  const resolver = { sourceMac: VM, destinationMac: OUT, source: named.source, destination: '192.0.2.53' }
  const question = [...dnsNameBytes('www.example.org'), 0, 1, 0, 1]
  before.host.send('web1', udpFrame(resolver, 5000, 53, Uint8Array.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...question])))
  const answer = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 80]
  const back = { sourceMac: OUT, destinationMac: VM, source: '192.0.2.53', destination: named.source }
  const reply = Uint8Array.from([0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, ...question, ...answer])
  before.host.send('out', udpFrame(back, 53, 5000, reply))
  const state = before.handlers.handOver!()
  const kept = async (groups: readonly object[]): Promise<boolean[]> => {
    const { handlers, host, ask, answers } = await lab([], { groups })
    handlers.takeOver!(state)
    host.delivered('out')
    ask(2001, named)
    return [answers(1001), host.delivered('out').length === 1]
  }
  assert.deepEqual(await kept([others, web, db]), [true, true])
  assert.deepEqual(await kept([web, { ...db, ports: ['sql*'] }]), [false, false])
})

test('connections of a VM go with it to another switch: saved in blocks, restored under its port there (ES-482, ES-483)', async () => {
  const before = await lab(undefined, { connections: 8192 })
  for (let port = 1; port <= 1500; port++) before.ask(port)
  const blocks = before.save()
  assert.ok(blocks.length > 1)
  for (const block of blocks) assert.ok(block.length <= SAVE_DATA_MAX)
  assert.deepEqual(before.save(), [], 'told once, until the save is complete')
  const after = await lab(undefined, { connections: 8192 })
  for (const block of blocks) assert.deepEqual(after.restore(block), { status: 0 })
  let found = 0
  for (let port = 1; port <= 1500; port++) if (after.answers(port)) found++
  assert.ok(found >= 1490, `${found}`) // a bucket that was full gave one up
  assert.equal(after.restore(blocks[0]!, '00000000-0000-0000-0000-000000000001'), undefined)
})

test('a connection that is saved keeps the time that it has left', async () => {
  const before = await lab()
  before.ask(1001)
  before.host.advance(59_000)
  const after = await lab()
  for (const block of before.save()) after.restore(block)
  after.host.advance(2000)
  assert.equal(after.answers(1001), false)
})

test('a block that is not sound changes nothing, whatever it is', async () => {
  const { save, ask } = await lab()
  ask(1001)
  const [block] = save()
  const { restore, answers } = await lab()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      restore(bytes)
      return true
    }),
    { numRuns: 200 },
  )
  for (const cut of [1, 11, 13, block!.length - 4]) restore(block!.slice(0, cut))
  assert.equal(answers(1001), false)
})

test('a traced packet is judged as any, and opens nothing', async () => {
  const { host, counters, ask, answers } = await lab()
  const told: string[] = []
  host.dataPath.batch.isTraced = true
  host.dataPath.batch.explained = (_, text) => void told.push(text)
  ask(1001)
  assert.equal(host.delivered('out').length, 1)
  assert.match(told[0] ?? '', /^rule .+ allows it$/)
  assert.equal(answers(1001), false)
  assert.match(told.at(-1) ?? '', /^none of the ingress rules of group .+ allows it$/)
  host.send('web1', udpFrame({ sourceMac: VM, destinationMac: OUT, ...pairs.IPv4 }, 1, 2))
  assert.equal(host.delivered('out').length, 0)
  assert.match(told.at(-1) ?? '', /^none of the egress rules of group .+ allows it$/)
  host.dataPath.batch.isTraced = false
  assert.equal(answers(1001), false)
  ask(1001)
  host.dataPath.batch.isTraced = true
  assert.equal(answers(1001), true)
  assert.ok(counters[FirewallCounter.opened]! > 0)
})

test('each rule counts the connections that it allowed', async () => {
  const { counters, ask } = await lab([https, { name: 'other', to: ['203.0.113.0/24'] }])
  ask(1)
  ask(2)
  ask(2)
  const names = (firewall.counters as (options: unknown) => readonly string[])(
    firewall.parseOptions!({ groups: [{ name: 'web', ports: ['web*'], egress: [https, { name: 'other', to: ['any'] }] }] }),
  )
  assert.equal(counters[names.indexOf('rule https')], 2)
  assert.equal(counters[names.indexOf('rule other')], 0)
})
