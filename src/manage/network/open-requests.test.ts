import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { type Ending, OpenRequests } from './open-requests.ts'
import type { TokenHolder } from './tokens.ts'

const alice: TokenHolder = { name: 'alice', role: 'admin' }
const bob: TokenHolder = { name: 'bob', role: 'reader' }

function held() {
  const holders = new Map<string, TokenHolder>([
    ['a', alice],
    ['b', bob],
  ])
  const told: string[] = []
  const open = new OpenRequests({
    tokens: { holder: (token) => holders.get(token) ?? null },
    ended: ({ name }) => told.push(name),
  })
  const ended: string[] = []
  const add = (token: string, holder: TokenHolder): Ending & EventEmitter => {
    const emitter = new EventEmitter()
    const ending = Object.assign(emitter, {
      destroy: () => {
        ended.push(holder.name)
        emitter.emit('close')
      },
    })
    open.add(token, holder, ending)
    return ending
  }
  return { holders, open, add, ended, told }
}

test('a request goes on while its token is what it was, and ends once the token is taken back, has another role or another name', () => {
  for (const then of [undefined, { ...alice, role: 'reader' } as const, { ...alice, name: 'carol' }]) {
    const { holders, open, add, ended, told } = held()
    add('a', alice)
    add('b', bob)
    open.look()
    assert.deepEqual(ended, [])
    if (then === undefined) holders.delete('a')
    else holders.set('a', then)
    open.look()
    open.look()
    assert.deepEqual([ended, told], [['alice'], ['alice']])
  }
})

test('what was answered is not ended, nor told of', () => {
  const { holders, open, add, ended, told } = held()
  add('a', alice).emit('close')
  holders.clear()
  open.look()
  assert.deepEqual([ended, told], [[], []])
})
