// Real Linux guests with several queue pairs: flows come by all of them, in the guest too, and TCP stays whole while entries move.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ensureNewQemu } from '../../src/lab/new-qemu.ts'
import { prepareGuestTests } from '../support/qemu.ts'
import { QemuLab } from '../support/qemu-lab.ts'

const tests = await prepareGuestTests()
const cacheDirectory = fileURLToPath(new URL('../../.cache', import.meta.url))
// Interrupts of single queues need MSI-X, which older QEMUs do not survive under emulation.
const program = await ensureNewQemu({ cacheDirectory }, { progress: (line) => process.stderr.write(`guests: ${line}\n`) }).catch(
  () => undefined,
)
const FLOWS = 6
const MEBIBYTES = 4

test('flows to a guest come by all of its queue pairs, and TCP stays whole while entries move', {
  skip: tests.skip,
  timeout: 120_000,
}, async (context) => {
  const lab = await QemuLab.open(
    tests,
    `switch:
  name: lab0
  processors: 2
  rss: { rebalanceSeconds: 0, hashKey: "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa" }
  ports:
    - { name: alpha, mac: "52:54:00:77:00:01", endpoint: { kind: vhost-user, path: alpha.sock } }
    - { name: beta, mac: "52:54:00:77:00:02", endpoint: { kind: vhost-user, path: beta.sock, queuePairs: 4 } }
`,
  )
  context.after(() => lab.close())
  const [alpha, beta] = await lab.boot({
    alpha: { program },
    beta: { processors: 2, nic: { queues: 4 }, program },
  })
  const { rss } = lab.running.adapters
  const status = () => rss.list().find(({ port }) => port === 'beta')!
  assert.equal(status().receiving, 2, 'the guest enables as many queue pairs as it has processors')

  await alpha.check(`dd if=/dev/urandom of=/tmp/payload bs=65536 count=${MEBIBYTES * 16} 2>/dev/null`)
  const sent = (await alpha.check('sha256sum </tmp/payload')).split(' ')[0]
  const one = (n: number) => `nc -w 10 10.77.0.2 5001 </tmp/payload >/tmp/answer${n} &`
  // One after the other: the guest's listener takes few connections at a time.
  const flows = Array.from({ length: FLOWS }, (_, n) => one(n)).join(' sleep 0.4; ')
  let isDone = false
  const transfers = alpha.check(`${flows} wait; cat /tmp/answer*`, { timeoutMs: 90_000 }).finally(() => {
    isDone = true
  })
  while (!isDone) {
    for (const from of [0, 1]) {
      const entries = status().indirectionTable.flatMap((pair, entry) => (pair === from && Math.random() < 0.5 ? [entry] : []))
      if (entries.length > 0) rss.move('beta', { entries, from, to: 1 - from })
    }
    await sleep(20)
  }
  const answers = (await transfers).trim().split('\n')
  assert.equal(answers.length, FLOWS)
  for (const answer of answers) assert.equal(answer.split(/\s+/)[2], sent, answers.join('\n'))

  const { queuePairs, moves, receiving } = status()
  for (const { queuePair, frames } of queuePairs) assert.ok(frames > 100, `queue pair ${queuePair}: ${frames} frames`)
  assert.ok(moves.done > 0)
  assert.equal(receiving, 2)
  await context.test(
    'the interrupts of both receive queues count',
    { skip: program === undefined && 'QEMU is too old' },
    async () => {
      const interrupts = await beta.check('grep input /proc/interrupts')
      const counts = [...interrupts.matchAll(/^\s*\d+:\s+(\d+)\s+(\d+).*virtio\d+-input\.([01])\s*$/gm)]
      assert.equal(counts.length, 2, interrupts)
      for (const [line, first, second] of counts) assert.ok(Number(first) + Number(second) > 10, line)
    },
  )
})
