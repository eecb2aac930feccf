import assert from 'node:assert/strict'
import { Duplex, PassThrough } from 'node:stream'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { GuestAgent } from './agent.ts'

/** An agent whose guest is the test: what it sends is in `lines`, what it gets is written by `say`. */
function agentUnderTest() {
  const fromGuest = new PassThrough()
  const lines: string[] = []
  const stream = Duplex.from({
    readable: fromGuest,
    writable: async (source: AsyncIterable<Buffer>) => {
      for await (const chunk of source) lines.push(chunk.toString())
    },
  })
  return {
    agent: new GuestAgent('alpha', stream),
    lines,
    say: (text: string) => fromGuest.write(text),
    end: () => stream.destroy(),
  }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

test('a command goes out as one line and its answer comes back by number', async () => {
  const { agent, lines, say, end } = agentUnderTest()
  const first = agent.run('echo "a b"\necho c', { timeoutMs: 1_500 })
  const second = agent.run('false')
  await turn()
  assert.equal(lines.join(''), `1 2 ${base64('echo "a b"\necho c')}\n2 30 ${base64('false')}\n`)
  say(`= 2 1  .\n= 1 0 ${base64('a b\nc\n').slice(0, 3)}`)
  assert.deepEqual(await second, { code: 1, output: '' })
  say(`${base64('a b\nc\n').slice(3)} .\r\n`)
  assert.deepEqual(await first, { code: 0, output: 'a b\nc\n' })
  end()
})

test('noise, foreign numbers and torn lines are passed over', async () => {
  const { agent, say, end } = agentUnderTest()
  const result = agent.run('true')
  say('[ 1.0 ] kernel says hello\n= 99 0 eA== .\n= 1 0 eA==\n= 1\n\n= ready 6.1.0 .\n= 1 0 eQ== .\n')
  assert.equal(await agent.ready, '6.1.0')
  assert.deepEqual(await result, { code: 0, output: 'y' })
  end()
})

test('the end of the guest fails what is open and what comes after', async () => {
  const { agent, end } = agentUnderTest()
  const open = assert.rejects(agent.run('sleep 9'), { code: 'guest-exited', message: /sleep 9/ })
  end()
  await open
  await assert.rejects(agent.run('true'), { code: 'guest-exited' })
  await assert.rejects(agent.ready, { code: 'guest-exited' })
})

test('an exit code that no program has is an error', async () => {
  const { agent, say, end } = agentUnderTest()
  const result = assert.rejects(agent.run('true'), { code: 'guest-protocol' })
  say('= 1 4711 eA== .\n')
  await result
  end()
})
