import assert from 'node:assert/strict'
import { test } from 'node:test'
import { namePattern, type OptionError, OptionReader } from './module-options.ts'

test('options are read by kind, and those not given are undefined', () => {
  const reader = new OptionReader({ file: 'a', size: 5, on: false, kind: 'x', ports: ['p', 'q'], one: 'r', nothing: null })
  assert.equal(reader.text('file'), 'a')
  assert.equal(reader.integer('size', 1, 5), 5)
  assert.equal(reader.boolean('on'), false)
  assert.equal(reader.choice('kind', ['x', 'y']), 'x')
  assert.deepEqual(reader.names('ports'), ['p', 'q'])
  assert.deepEqual(reader.names('one'), ['r'])
  assert.equal(reader.text('nothing'), undefined)
  assert.equal(reader.integer('absent', 0, 1), undefined)
  reader.done()
  new OptionReader(undefined).done()
})

test('a wrong option is refused with its path and what would be right', () => {
  const reader = new OptionReader({ size: 1.5, kind: 'z', ports: ['p', 7], file: '' }, 'rules[2]')
  const refused = (read: () => unknown, message: string): void =>
    assert.throws(read, (error: OptionError) => {
      assert.equal(error.code, 'bad-option')
      assert.equal(error.message, message)
      return true
    })
  refused(() => reader.integer('size', 1, 5), 'rules[2].size: 1.5 is not a whole number from 1 to 5')
  refused(() => reader.choice('kind', ['x', 'y']), 'rules[2].kind: "z" is not one of x, y')
  refused(() => reader.names('ports'), 'rules[2].ports[1]: 7 is not a name')
  refused(() => reader.text('file'), 'rules[2].file: "" is not a text')
  refused(() => new OptionReader([1]), '[1] is not a set of options: write "name: value" pairs')
})

test('an option that nobody asked for is refused with the known ones', () => {
  const reader = new OptionReader({ sise: 1 })
  reader.text('size')
  reader.text('file')
  assert.throws(() => reader.done(), { option: 'sise', message: 'sise: there is no such option; known are file, size' })
})

test('a pattern of names fits what its stars leave open, and takes no other letter for more than itself', () => {
  assert.deepEqual(
    ['web1', 'web', 'xweb', 'we'].map((name) => namePattern('web*').test(name)),
    [true, true, false, false],
  )
  assert.deepEqual(
    ['a.b', 'axb', 'a.bc'].map((name) => namePattern('a.b').test(name)),
    [true, false, false],
  )
  assert.ok(namePattern('*[1](x)').test('vm[1](x)'))
})
