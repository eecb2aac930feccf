import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { closeFd } from './files.ts'
import { sys } from './libc.ts'
import { serviceManager } from './service-manager.ts'
import { bindPath, FdReceiver, openSocket, SocketType } from './sockets.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-manager-'))
after(() => rmSync(directory, { recursive: true }))
const PID = 42

test('a manager hears what it is told, at a path and at an abstract name', () => {
  const path = join(directory, 'notify')
  const fd = openSocket(SocketType.datagram)
  bindPath(fd, path, SocketType.datagram)
  assert.equal(serviceManager({ NOTIFY_SOCKET: path }, PID).tell('READY=1\nMAINPID=42'), true)
  assert.equal(new FdReceiver(64).receive(fd, 64)?.bytes.toString(), 'READY=1\nMAINPID=42')
  closeFd(fd)

  const name = `vmswitch-${process.pid}-${Math.random()}`
  const abstract = openSocket(SocketType.datagram)
  const address = Buffer.concat([Buffer.from([1, 0, 0]), Buffer.from(name)])
  assert.equal(sys.bind(abstract, address, address.length), 0)
  assert.equal(serviceManager({ NOTIFY_SOCKET: `@${name}` }, PID).tell('STOPPING=1'), true)
  assert.equal(new FdReceiver(64).receive(abstract, 64)?.bytes.toString(), 'STOPPING=1')
  closeFd(abstract)
})

test('without a manager, or with one that is gone, nothing is told and nothing fails', () => {
  assert.equal(serviceManager({}, PID).tell('READY=1'), false)
  assert.equal(serviceManager({ NOTIFY_SOCKET: join(directory, 'nobody') }, PID).tell('READY=1'), false)
  assert.equal(serviceManager({ NOTIFY_SOCKET: 'relative' }, PID).tell('READY=1'), false)
  assert.equal(serviceManager({ NOTIFY_SOCKET: `/${'x'.repeat(200)}` }, PID).tell('READY=1'), false)
})

test('a watchdog is told of three times in its time, if it watches this process', () => {
  const watched = (env: Readonly<Record<string, string>>): number =>
    serviceManager({ NOTIFY_SOCKET: '/x', ...env }, PID).watchdogMs
  assert.equal(watched({ WATCHDOG_USEC: '30000000' }), 10_000)
  assert.equal(watched({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '42' }), 10_000)
  assert.equal(watched({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '43' }), 0)
  assert.equal(watched({ WATCHDOG_USEC: 'soon' }), 0)
  assert.equal(watched({}), 0)
})
