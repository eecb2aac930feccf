import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeReport, Findings } from './report.ts'

test('batches that took long are told, and are no faults', () => {
  const findings = new Findings()
  findings.add('extension-slow', 'took 61 ms for 3 packets')
  findings.add('extension-slow', 'took 61 ms for 3 packets')
  assert.deepEqual([findings.breaches, findings.faults], [[], []])
  assert.deepEqual(
    findings.slow.map(({ count }) => count),
    [2],
  )
  const { breaches, faults, slow } = findings
  const lines = describeReport({
    file: 'a.ts',
    extension: { name: 'a', version: '1.0.0', class: 'filtering' },
    seed: 1,
    steps: 2,
    frames: 3,
    seconds: 1,
    passed: true,
    breaches,
    faults,
    slow,
  })
  assert.match(lines.join('\n'), /extension-slow: took 61 ms .*passed/s)
})

test('what an extension throws is a fault, a broken rule a breach', () => {
  const findings = new Findings()
  findings.add('extension-failed', 'no such protocol')
  findings.add('breach', 'ES-066 (A003): a dropped packet is used [egress 2 times]')
  assert.deepEqual(
    findings.faults.map(({ code }) => code),
    ['extension-failed'],
  )
  assert.deepEqual(
    findings.breaches.map(({ rule, count }) => [rule, count]),
    [['ES-066', 2]],
  )
})
