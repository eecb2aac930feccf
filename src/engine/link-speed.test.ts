import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linkSpeedOf } from './link-speed.ts'

test('the speed of a team is that of its links together, and unknown if one of them is', () => {
  const speeds: Record<string, string> = { a: '10000\n', b: '1000\n', down: '-1\n', odd: 'x' }
  const read = (name: string): string => {
    const speed = speeds[name]
    if (speed === undefined) throw new Error('ENOENT')
    return speed
  }
  assert.equal(linkSpeedOf(['a'], read), 10e9)
  assert.equal(linkSpeedOf(['a', 'b'], read), 11e9)
  for (const names of [['a', 'down'], ['a', 'odd'], ['nothing'], ['lo']])
    assert.equal(linkSpeedOf(names, names[0] === 'lo' ? undefined : read), 0)
})
