import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { defineExtension, type ExtensionDefinition, type SwitchHandle } from '../../extension.ts'
import type { Batch } from '../../ndis/batch.ts'
import { Oid } from '../../ndis/oids.ts'
import { etherFrame } from '../../packet/build.ts'
import { BreachLog, describeBreach } from './breach-log.ts'
import { checkedExtension } from './checked-extension.ts'

const a = '02:00:00:00:00:01'
const b = '02:00:00:00:00:02'
const plain = etherFrame(b, a, 0x88b5, new Uint8Array(46))
const long = etherFrame(b, a, 0x88b5, new Uint8Array(1400))

type Given = Partial<Omit<ExtensionDefinition<unknown>, 'attach'>> & Pick<ExtensionDefinition<unknown>, 'attach'>

// A switch with ports a and b round a watched extension; `rules` are those it broke so far.
async function watched(given: Given) {
  const log = new BreachLog()
  const definition = checkedExtension(
    defineExtension({
      id: '1b1d2a44-6a0f-4c2e-9a55-0f6a3a8f7a01',
      name: 'watched',
      version: '1.0.0',
      class: 'filtering',
      ...given,
    }),
    { name: 'watched', holdLimitMs: 1000, oidLimitMs: 20 },
    { log, delay: (ms) => sleep(ms) },
  )
  const host = new ExtensionHost([{ definition }])
  await host.addPorts({ name: 'a', mac: a }, { name: 'b', mac: b })
  return { host, log, module: host.modules[0]!.module, rules: () => log.list().map(({ rule }) => rule) }
}

const onIngress = (work: (batch: Batch, sw: SwitchHandle) => void, given: Partial<Given> = {}) =>
  watched({
    ...given,
    attach: (sw) => ({
      ingress: (batch) => work(batch, sw),
    }),
  })

test('a module that keeps the contract is never told of, and works as without the checks', async () => {
  const { host, log } = await watched({
    attach(sw) {
      const reason = sw.registerReason('never')
      let held = 0
      sw.every(10, () => {
        if (held !== 0) sw.forward(held)
        held = 0
      })
      return {
        ingress(batch) {
          for (let i = 0; i < batch.length; i++)
            if (batch.u16(i, 12) === 0x88b5 && batch.frameLength(i) > 100) held = batch.hold(i)
            else if (batch.isTcp(i)) batch.drop(i, reason)
        },
        egress(batch) {
          for (let i = 0; i < batch.length; i++) if (batch.destinationPortId(i, 0) === 99) batch.exclude(i, 0, reason)
        },
      }
    },
  })
  host.send('a', plain, long)
  assert.equal(host.delivered('b').length, 1)
  host.advance(20)
  assert.equal(host.delivered('b').length, 1)
  assert.deepEqual(log.list(), [])
})

test('a batch that is used after its handler returned is told of and answers nothing (ES-066)', async () => {
  let kept: Batch | undefined
  const { host, rules } = await onIngress((batch) => {
    kept = batch
  })
  host.send('a', plain)
  kept!.drop(0, 'late')
  assert.equal(kept!.length, 0)
  assert.equal(kept!.frameLength(0), 0)
  assert.deepEqual(new Set(rules()), new Set(['ES-066']))
  assert.equal(host.delivered('b').length, 1)
})

test('positions, offsets and destinations that do not exist are told of (ES-093)', async () => {
  const { host, log, rules } = await onIngress((batch) => {
    batch.frameLength(batch.length)
    batch.u8(0, -1)
    batch.isExcluded(0, 0)
    batch.drop(1.5, 'half')
  })
  host.send('a', plain)
  assert.deepEqual(rules(), ['ES-093', 'ES-093', 'ES-093', 'ES-093'])
  assert.match(describeBreach(log.list()[0]!), /ES-093: batch\.frameLength\(1\) names no packet: the batch has 1 \[in ingress\]/)
})

test('bytes beyond the private copy are no ground for a decision (ES-399)', async () => {
  const { host, rules } = await onIngress((batch) => {
    batch.u8(0, 20)
    batch.u8(0, batch.frameLength(0) - 1)
    batch.u8(0, batch.frameLength(0)) // beyond the frame: 0, as documented
  })
  host.send('a', long)
  assert.deepEqual(rules(), ['ES-399'])
  host.send('a', plain)
  assert.equal(rules().length, 1)
})

test('a packet that was dropped or taken is not touched again, and a drop has a reason (ES-066, ES-360)', async () => {
  const { host, rules } = await onIngress((batch, sw) => {
    batch.drop(0, '')
    batch.drop(0, 'again')
    batch.hold(0)
    const handle = batch.hold(1)
    batch.drop(1, 'taken')
    sw.release(handle)
  })
  host.send('a', plain, plain)
  assert.deepEqual(rules(), ['ES-360', 'ES-066', 'ES-066'])
})

test("what lies behind the accessors can't be written: sources, flags, destinations (ES-371, ES-421, ES-438)", async () => {
  const { host, rules } = await onIngress((batch) => {
    batch.pool.sourcePort[batch.slots[0]!] = 2
    batch.pool.flags[batch.slots[0]!]! |= 1 << 20
    batch.pool.destination[batch.slots[0]!] = 1
    batch.slots[0] = 5
    batch.rights = 255
  })
  host.send('a', plain)
  assert.deepEqual(rules(), ['ES-371', 'ES-438', 'ES-421', 'ES-066', 'ES-066'])
  assert.equal(host.delivered('b').length, 1)
})

test('handles are good for one use of the right kind (ES-066, ES-371, ES-443)', async () => {
  const { host, rules } = await onIngress((batch, sw) => {
    const clone = batch.clone(0)
    sw.forward(clone) // wrong kind
    sw.release(clone)
    sw.send(clone) // used up
    sw.send(0x7ffff) // forged
    const held = batch.hold(0)
    sw.setSource(held, 2)
    sw.forward(held)
  })
  host.send('a', plain)
  assert.deepEqual(rules(), ['ES-066', 'ES-066', 'ES-443', 'ES-371'])
  assert.equal(host.delivered('b').length, 1)
})

test('a source that does not exist or is not connected is told of (ES-429, ES-440)', async () => {
  let handle: SwitchHandle | undefined
  const { host, rules } = await watched({
    attach(sw) {
      handle = sw
      return {}
    },
  })
  const set = (port: number): void => {
    const packet = handle!.originate(plain)
    handle!.setSource(packet, port)
    handle!.release(packet)
  }
  set(host.id('a'))
  assert.deepEqual(rules(), [])
  set(77)
  await host.control.disconnect(host.id('a'))
  set(host.id('a'))
  assert.deepEqual(rules(), ['ES-440', 'ES-429'])
})

test('packets that are kept for ever or over a pause are told of (ES-056)', async () => {
  const { host, log, module, rules } = await onIngress((batch) => {
    if (batch.frameLength(0) > 100) batch.hold(0)
  })
  host.send('a', long)
  host.advance(900)
  host.send('a', plain)
  assert.deepEqual(rules(), [])
  host.advance(200)
  host.send('a', plain)
  assert.deepEqual(rules(), ['ES-056'])
  assert.ok(log.list()[0]!.packet > 0)
  await module.pause()
  assert.deepEqual(rules(), ['ES-056', 'ES-056'])
})

test('nothing is sent in attach or while paused (ES-053, ES-055)', async () => {
  let handle: SwitchHandle | undefined
  const { module, rules } = await watched({
    attach(sw) {
      handle = sw
      assert.equal(sw.originate(plain), 0)
      return {}
    },
  })
  assert.deepEqual(rules(), ['ES-053'])
  await module.pause()
  handle!.originate(plain)
  assert.deepEqual(rules(), ['ES-053', 'ES-055'])
})

test('a forwarding extension directs to connections that it knows to be connected, once each, or drops (ES-317, ES-320, ES-441)', async () => {
  const to: number[] = []
  const { host, rules } = await onIngress(
    (batch) => {
      for (const port of to) batch.addDestination(0, port)
    },
    { class: 'forwarding' },
  )
  const send = (...ports: number[]): string[] => {
    to.splice(0, to.length, ...ports)
    const before = rules().length
    host.send('a', plain)
    return rules().slice(before)
  }
  assert.deepEqual(send(host.id('b')), [])
  assert.deepEqual(send(), ['ES-317'])
  assert.deepEqual(send(host.id('b'), host.id('b')), ['ES-441'])
  assert.deepEqual(send(host.id('b'), 77), ['ES-441'])
  await host.control.disconnect(host.id('b'))
  assert.deepEqual(send(host.id('a'), host.id('b')), ['ES-320'])
})

test('an asynchronous data path handler is told of (ES-066)', async () => {
  const { host, rules } = await onIngress((async () => {}) as unknown as () => void)
  host.send('a', plain)
  assert.deepEqual(rules(), ['ES-066'])
})

test('requests are answered in time, with an answer, and not changed (ES-108, ES-170, ES-249)', async () => {
  const seen: string[] = []
  const { host, log } = await watched({
    attach: () => ({
      async oid(request) {
        const payload = request.payload as { portName?: string; mtu?: number; nicName?: string }
        seen.push(payload.portName ?? payload.nicName ?? '?')
        if (payload.portName === 'a') payload.portName = 'changed'
        if (payload.nicName === 'a' && request.oid === Oid.nicCreate) payload.mtu = 9000
        if (payload.portName === 'b') await new Promise(() => {})
        if (payload.nicName === 'b' && request.oid === Oid.nicCreate) return 7 as unknown as undefined
        return undefined
      },
    }),
  })
  assert.ok(host.id('b') > 0, 'the switch goes on')
  const found = log.list().map(({ rule, what, oid }) => `${rule} ${what} ${oid}`)
  assert.deepEqual(found.slice(0, 3), [
    'ES-108 "portName" of the request was changed OID_SWITCH_PORT_CREATE',
    'ES-170 "mtu" of the request was changed OID_SWITCH_NIC_CREATE',
    'ES-249 the request was not answered within 20 ms OID_SWITCH_PORT_CREATE',
  ])
  assert.match(found[3]!, /^ES-249 the answer is neither/)
  assert.equal(seen[0], 'a')
})

test('breaches are counted, and told at powers of ten', () => {
  const told: number[] = []
  const log = new BreachLog(({ count }) => told.push(count))
  for (let i = 0; i < 250; i++) log.report({ module: 'm', rule: 'ES-440', what: 'w', where: 'oid', packet: i + 1, oid: '' })
  assert.deepEqual(told, [1, 10, 100])
  assert.equal(log.total, 250)
  assert.equal(describeBreach(log.list()[0]!), 'ES-440 (A006): w [in oid, packet 1, 250 times]')
})
