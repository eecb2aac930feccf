import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { acceptOne } from './accept-one.ts'
import { QmpClient, type QmpEvent } from './qmp.ts'

/** A client, and the socket on which the test plays QEMU. */
async function clientUnderTest(context: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'qmp-'))
  const waiting = await acceptOne(join(folder, 's'))
  const machine: Socket = connect(waiting.path)
  const events: QmpEvent[] = []
  const client = new QmpClient(await waiting.socket, { onEvent: (event) => events.push(event) })
  context.after(() => {
    client.close()
    machine.destroy()
    rmSync(folder, { recursive: true, force: true })
  })
  const heard: string[] = []
  machine.setEncoding('utf8')
  machine.on('data', (text: string) => heard.push(text))
  return { client, machine, events, heard }
}

test('the greeting is answered with the negotiation', async (context) => {
  const { client, machine, heard } = await clientUnderTest(context)
  const negotiated = client.negotiate()
  machine.write('{"QMP": {"version": {}, "capabilities": []}}\r\n')
  machine.on('data', () => machine.write('{"return": {}, "id": 1}\r\n'))
  await negotiated
  assert.deepEqual(JSON.parse(heard.join('')), { execute: 'qmp_capabilities', arguments: {}, id: 1 })
})

test('replies, errors and events find their way whatever their order', async (context) => {
  const { client, machine, events } = await clientUnderTest(context)
  const first = client.execute('query-status')
  const second = assert.rejects(client.execute('nonsense'), {
    code: 'qmp-failed',
    message: /nonsense: no such thing \(CommandNotFound\)/,
  })
  machine.write('{"event": "RESUME"}\n{"id": 2, "error": {"class": "CommandNotFound", "desc": "no such thing"}}\n{"id": 1, "ret')
  await second
  machine.write('urn": {"status": "running"}}\n')
  assert.deepEqual(await first, { status: 'running' })
  assert.deepEqual(events, [{ event: 'RESUME', data: {} }])
})

test('a lost connection fails all that is open', async (context) => {
  const { client, machine } = await clientUnderTest(context)
  const open = assert.rejects(client.execute('query-status'), { code: 'qmp-failed' })
  machine.end()
  await open
  await assert.rejects(client.execute('query-status'), { code: 'qmp-failed' })
})

test('words that are no JSON end the connection', async (context) => {
  const { client, machine } = await clientUnderTest(context)
  const open = assert.rejects(client.execute('query-status'), { code: 'qmp-failed', message: /not JSON/ })
  machine.write('hello\n')
  await open
})
