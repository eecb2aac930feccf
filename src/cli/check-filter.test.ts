import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkFilter, faultOf } from './check-filter.ts'

test('a filter that can not be used is shown with a caret at the wrong word', () => {
  assert.match(faultOf('tcp prot 80') ?? '', /^filter "tcp prot 80": .*\n {2}tcp prot 80\n {6}\^$/)
  assert.equal(faultOf('tcp port 80 and not host 10.0.0.1'), undefined)
  assert.equal(faultOf(''), undefined)
})

test('it is refused as a wrong argument, and no filter is none', () => {
  assert.throws(() => checkFilter('port'), { code: 'bad-filter', exitCode: 2 })
  checkFilter(undefined)
})
