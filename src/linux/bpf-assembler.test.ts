import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Assembler, of, Register } from './bpf-assembler.ts'
import { redirectProgram } from './steering-program.ts'

const { r0, r1, r2, stack } = Register

test('instructions are eight bytes each: code, registers, offset, constant', () => {
  const program = new Assembler()
    .do('mov', r2, -1)
    .do('add', r2, of(r1))
    .do32('rsh', r2, 15)
    .store(2, stack, -8, r2)
    .load(8, r1, stack, -16)
    .fromWire(r1, 16)
    .loadMap(r1, 7)
    .call(1)
    .exit()
  assert.deepEqual(program.assemble().toString('hex').match(/.{16}/g), [
    'b7020000ffffffff',
    '0f12000000000000',
    '740200000f000000',
    '6b2af8ff00000000',
    '79a1f0ff00000000',
    'dc01000010000000',
    '1811000007000000',
    '0000000000000000',
    '8500000001000000',
    '9500000000000000',
  ])
})

test('a jump, forward or back, counts instructions from the one after it', () => {
  const program = new Assembler()
    .label('again')
    .jumpIf('eq', r0, 1, 'end')
    .jumpIf('ne', r0, of(r1), 'again')
    .jump('end')
    .label('end')
  assert.deepEqual(program.exit().assemble().toString('hex').match(/.{16}/g), [
    '1500020001000000',
    '5d10feff00000000',
    '0500000000000000',
    '9500000000000000',
  ])
})

test('a jump to nowhere and a label that stands twice are errors', () => {
  assert.throws(() => new Assembler().jump('there').assemble(), /goes to there, which is nowhere/)
  assert.throws(() => new Assembler().label('here').label('here'), /label here stands twice/)
})

test('the plain program gives the frames of each receive queue to the socket of its index', () => {
  assert.deepEqual(redirectProgram(9).toString('hex').match(/.{16}/g), [
    '6112100000000000', // r2 = the queue's index
    '1811000009000000', // r1 = the map of sockets
    '0000000000000000',
    'b703000002000000', // r3 = pass, where there is none
    '8500000033000000',
    '9500000000000000',
  ])
})
