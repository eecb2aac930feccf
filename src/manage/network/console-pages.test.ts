import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ControlError } from '../control/control-errors.ts'
import { consolePages } from './console-pages.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-pages-'))
after(() => rmSync(directory, { recursive: true }))
mkdirSync(join(directory, 'console-guest'))
writeFileSync(join(directory, 'console-guest/guest.html'), '<!doctype html><title>Guest</title>')
const page = () => new Request('https://switch.example:8443/console/guest/', { headers: { host: 'switch.example:8443' } })
const policyOf = (answer: Response): string => answer.headers.get('content-security-policy') ?? ''

test('the page of a guest may reach the WebSocket ports of the switch, which is asked for them once a second', async () => {
  let now = 0
  let asked = 0
  const relays = async () => [`ws://127.0.0.1:${7801 + asked++}`]
  const pages = consolePages(join(directory, 'console'), { relays, nowMs: () => now })
  assert.ok(pages.has(page()))
  const answers = await Promise.all([pages.answer(page()), pages.answer(page())])
  for (const answer of answers)
    assert.match(policyOf(answer), /connect-src 'self' ws:\/\/127\.0\.0\.1:7801 wss:\/\/switch\.example:\*;/)
  now = 999
  await pages.answer(page())
  assert.equal(asked, 1)
  now = 1000
  assert.match(policyOf(await pages.answer(page())), / ws:\/\/127\.0\.0\.1:7802 /)
})

test('the page of a guest is there before there is a switch, and then has no port to reach', async () => {
  const relays = () => Promise.reject(new ControlError('no-switch', 'there is no switch yet'))
  const answer = await consolePages(join(directory, 'console'), { relays, nowMs: () => 0 }).answer(page())
  assert.equal(answer.status, 200)
  assert.match(policyOf(answer), /connect-src 'self' wss:\/\/switch\.example:\*;/)
})
