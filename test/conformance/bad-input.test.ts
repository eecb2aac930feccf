// Extensions that do what no extension should: for each, the switch goes on, the fault is reported with the module's name, and the failure
// policy of the module (open or closed) decides what happens to its packets. Extensions that throw: failures.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { HELD_SLOTS } from '../../src/ndis/pool.ts'
import { ControlUnderTest, script } from './control-under-test.ts'
import { frame, portConfig, SwitchUnderTest, textOf, use } from './switch-under-test.ts'

const policies = ['open', 'closed'] as const
const held = (sut: SwitchUnderTest): number => sut.switch.processors()[0]!.counters.held!
const reported = (sut: SwitchUnderTest, name: string, code: string): Promise<void> =>
  sut.heard((event) => event.source === `extension ${name}` && event.code === code, `${code} of ${name}`)

for (const onFailure of policies) {
  test(`an extension that loops for 100 ms is reported as slow, and its packets arrive late (fails ${onFailure})`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      extensions: [
        use({ name: 'quick', class: 'filtering' }),
        use({ name: 'slow', class: 'filtering', onFailure, burnMs: 100, match: 'x', ingress: 'capitalise' }),
      ],
    })
    for (let round = 0; !sut.log.some(({ code }) => code === 'extension-slow'); round++) {
      assert.ok(round < 20)
      await sut.send(1, 2, 'x')
      assert.deepEqual(await sut.receive(2, 1), ['X'])
    }
    const slow = sut.log.filter(({ code }) => code === 'extension-slow')
    assert.deepEqual([...new Set(slow.map(({ source }) => source))], ['extension slow'])
    assert.match(slow[0]!.message, /took \d+ ms for \d+ packets/)
    assert.equal((await sut.extension('slow')).state, 'running')
  })

  test(`an extension that never completes an OID is reported, and requests and packets go on (fails ${onFailure})`, async (t) => {
    const cut = await ControlUnderTest.start(t, {
      ports: 2,
      limits: { oidMs: 200 },
      extensions: [
        script('F1', { onFailure, replies: { PORT_CREATE: { never: true }, NIC_CREATE: { never: true } } }),
        script('F2'),
      ],
    })
    await cut.sut.switch.addPort(portConfig(3))
    assert.deepEqual(cut.oids('F2', 'p3').slice(0, 2), ['PORT_CREATE', 'NIC_CREATE 0'])
    assert.deepEqual([...new Set(cut.breaches('F1'))], ['ES-249'])
    assert.ok(cut.sut.log.some(({ message }) => /neither completed nor forwarded OID_SWITCH_NIC_CREATE/.test(message)))
    await cut.sut.until(() => cut.sut.switch.ports()[2]!.connected, 'the connection')
    await cut.sut.send(1, 3, 'x')
    assert.deepEqual(await cut.sut.receive(3, 1), ['x'])
  })

  test(`an extension that completes an OID twice is reported, and the first answer counts (fails ${onFailure})`, async (t) => {
    const cut = await ControlUnderTest.start(t, {
      ports: 2,
      extensions: [
        script('F1', { onFailure, replies: { PORT_UPDATED: { pending: true } }, answerAfterMs: 10, answerTimes: 3 }),
        script('F2'),
      ],
    })
    await cut.sut.switch.updatePort('p1', 'once')
    await cut.sut.until(() => cut.breaches('F1').length === 2, 'the second and third answer')
    assert.deepEqual(cut.breaches('F1'), ['ES-057', 'ES-057'])
    assert.deepEqual(
      cut.oids('F2', 'p1').filter((oid) => oid === 'PORT_UPDATED'),
      ['PORT_UPDATED'],
    )
    await cut.sut.send(1, 2, 'x')
    assert.deepEqual(await cut.sut.receive(2, 1), ['x'])
  })

  test(`an extension that keeps packets for ever is reported when they leave no room; what finds none goes on (fails ${onFailure}) (ES-056)`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      limits: { drainMs: 100 },
      extensions: [use({ name: 'hoard', class: 'filtering', onFailure, match: 'k', ingress: 'keep' })],
    })
    await sut.send(1, 2, ...Array.from({ length: HELD_SLOTS + 32 }, (_, i) => `k${i}`))
    await reported(sut, 'hoard', 'ES-056')
    assert.deepEqual(
      await sut.receive(2, 32),
      Array.from({ length: 32 }, (_, i) => `k${HELD_SLOTS + i}`),
    )
    await sut.send(1, 2, 'others')
    assert.deepEqual(await sut.receive(2, 1), ['others'])
  })

  test(`packets that an extension keeps when their port goes are taken away: ${onFailure === 'open' ? 'they go on' : 'they are dropped'} (fails ${onFailure}) (ES-208)`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      ports: 3,
      limits: { drainMs: 100 },
      extensions: [use({ name: 'hoard', class: 'filtering', onFailure, match: 'k', ingress: 'keep' })],
    })
    await sut.send(3, 2, 'k1', 'k2')
    await sut.send(1, 2, 'k3')
    await sut.until(() => held(sut) === 3, 'three packets to be kept')
    sut.unplug(3)
    await sut.switch.removePort('p3')
    await reported(sut, 'hoard', 'packets-kept')
    assert.match(sut.log.find(({ code }) => code === 'packets-kept')!.message, /kept 2 packets of port 3/)
    if (onFailure === 'open') assert.deepEqual(await sut.receive(2, 2), ['k1', 'k2'])
    else await sut.silence(2)
    await sut.switch.addPort(portConfig(3)) // with the id of the port that went
    await sut.send(3, 2, 'new')
    assert.deepEqual(await sut.receive(2, 1), ['new'])
    await sut.switch.setExtension('hoard', false)
    assert.deepEqual(await sut.receive(2, 1), ['k3'], 'what others sent is still kept')
  })

  test(`an extension that forges, repeats and confuses packet handles is reported, and each packet arrives once (fails ${onFailure}) (ES-066, ES-443)`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      extensions: [use({ name: 'thief', class: 'filtering', onFailure, ingress: 'handles' })],
    })
    await sut.send(1, 2, 'a', 'b')
    assert.deepEqual(await sut.receive(2, 2), ['a', 'b'])
    await reported(sut, 'thief', 'ES-443')
    const { breaches, state } = await sut.extension('thief')
    assert.ok(breaches >= 2 * 6, `${breaches} breaches`)
    assert.equal(state, 'running')
  })

  test(`an extension that writes outside its buffers is reported, and nothing was written (fails ${onFailure}) (ES-093)`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      extensions: [use({ name: 'wild', class: 'filtering', onFailure, match: 'w', ingress: 'outside' })],
    })
    const texts = ['a', 'w'.repeat(40), 'b', 'w'.repeat(500), 'c']
    const memory = sut.switch.memory()
    for (let round = 0; round < 10; round++) {
      await sut.send(1, 2, ...texts)
      assert.deepEqual(await sut.receive(2, texts.length), texts)
    }
    await reported(sut, 'wild', 'ES-093')
    assert.deepEqual(sut.switch.memory(), memory)
    assert.deepEqual(sut.drops(1), {})
    assert.equal((await sut.extension('wild')).counters.frames, 100, 'its own counter is as it should be')
  })

  test(`an extension that is detached in the middle of batches, with packets that it holds, loses none (fails ${onFailure}) (ES-046, ES-056)`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      extensions: [
        use({ name: 'above', class: 'filtering' }),
        use({ name: 'leaver', class: 'filtering', onFailure, match: 'h', ingress: 'hold', delayMs: 3 }),
      ],
    })
    const got: string[] = []
    sut.peer(2).onFrame((bytes) => got.push(textOf(bytes)))
    let sent = 0
    let running = true
    const sender = (async () => {
      while (running) {
        for (let i = 0; i < 20 && sut.peer(1).send(frame(2, 1, `${sent % 3 === 0 ? 'h' : 'x'}${sent}`)); i++) sent++
        await sleep(0)
      }
    })()
    for (let round = 0; round < 10; round++) {
      await sut.switch.setExtension('leaver', false)
      await sut.switch.setExtension('leaver', true)
      await sleep(2)
    }
    running = false
    await sender
    await sut.until(
      () => got.length >= sent,
      () => `${sent} frames, not ${got.length}: ${JSON.stringify(sut.switch.drops())}`,
    )
    const numbers = got.map((text) => Number(text.slice(1)))
    assert.equal(new Set(numbers).size, sent, 'each once')
    assert.equal(got.length, sent)
    assert.deepEqual(sut.switch.drops(), [])
  })

  test(`what an extension holds when it throws ${onFailure === 'open' ? 'goes on past it' : 'is dropped with a reason'} (fails ${onFailure})`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      extensions: [
        use({ name: 'bad', class: 'filtering', onFailure, match: 'h', ingress: 'hold', delayMs: 60_000, throwOn: 'x' }),
      ],
    })
    await sut.send(1, 2, 'h1', 'h2')
    await sut.until(() => held(sut) === 2, 'two packets to be held')
    await sut.send(1, 2, 'x')
    await reported(sut, 'bad', 'extension-failed')
    if (onFailure === 'open') assert.deepEqual((await sut.receive(2, 3)).sort(), ['h1', 'h2', 'x'])
    else {
      await sut.until(() => sut.drops(1)['extension-failed'] === 3, 'the drops')
      await sut.silence(2)
    }
    assert.equal((await sut.extension('bad')).lastFault.includes('boom on x'), true)
  })
}
