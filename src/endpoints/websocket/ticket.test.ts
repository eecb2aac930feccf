import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeTicket, TICKET_MS, TicketDoor } from './ticket.ts'

const TOKEN = 'a'.repeat(43)
const ORIGIN = 'http://127.0.0.1:7788'
const NOW = 1_700_000_000_000

test('a ticket opens its port once, for pages of its origin', () => {
  const door = new TicketDoor(TOKEN)
  const ticket = makeTicket(TOKEN, ORIGIN, NOW)
  assert.equal(door.opens(ticket, 'http://evil.example', NOW), false)
  assert.equal(door.opens(ticket, '', NOW), false)
  assert.equal(door.opens(ticket, ORIGIN, NOW + 1000), true)
  assert.equal(door.opens(ticket, ORIGIN, NOW + 1000), false)
})

test('a ticket of another port, an old one, and one from the future open nothing', () => {
  const door = new TicketDoor(TOKEN)
  assert.equal(door.opens(makeTicket('b'.repeat(43), ORIGIN, NOW), ORIGIN, NOW), false)
  assert.equal(door.opens(makeTicket(TOKEN, ORIGIN, NOW), ORIGIN, NOW + TICKET_MS + 1), false)
  assert.equal(door.opens(makeTicket(TOKEN, ORIGIN, NOW + 60_000), ORIGIN, NOW), false)
})

test('what was changed in a ticket shows, and what is no ticket opens nothing', () => {
  const door = new TicketDoor(TOKEN)
  const ticket = makeTicket(TOKEN, ORIGIN, NOW)
  const [head, expires, nonce, seal] = ticket.split('.') as [string, string, string, string]
  const wrong = [
    [head, String(Number(expires) + 1), nonce, seal].join('.'),
    [head, expires, `${nonce.slice(1)}A`, seal].join('.'),
    [head, expires, nonce, `${seal.slice(1)}A`].join('.'),
    [head, expires, nonce].join('.'),
    ticket.slice(0, -1),
    `${ticket}A`,
    TOKEN,
    '',
  ]
  for (const one of wrong) if (one !== ticket) assert.equal(door.opens(one, ORIGIN, NOW), false, one)
  assert.equal(door.opens(ticket, ORIGIN, NOW), true)
})
