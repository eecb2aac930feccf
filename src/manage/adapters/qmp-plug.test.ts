// Plugging over QMP, against a QEMU that only answers what the protocol says.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SwitchEvent } from '../host.ts'
import { QmpPlug, UnplugFailedError } from './qmp-plug.ts'

const WAIT_MS = 30_000
const iov = {
  weight: 100,
  form: 'vhost-user',
  path: '/run/a-vf.sock',
  queuePairs: 1,
  trusted: false,
  requireSeals: true,
} as const

interface Command {
  readonly execute: string
  readonly arguments: Record<string, unknown>
  readonly id: number
}

/** A QEMU at `path`: notes commands, refuses those of `refused`, tells that a device is deleted. */
function fakeQemu(
  path: string,
  { refused = [], version = [11, 1, 3], migrates = 'active' }: { refused?: string[]; version?: number[]; migrates?: string } = {},
) {
  const commands: string[] = []
  const state = { guest: 'running' }
  const sockets: Socket[] = []
  let migration = 'none'
  const server = createServer((socket) => {
    sockets.push(socket)
    const send = (value: unknown): void => void socket.write(`${JSON.stringify(value)}\n`)
    send({ QMP: {} })
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (text + chunk).split('\n')
      text = lines.pop()!
      for (const line of lines) {
        const { execute, arguments: given, id } = JSON.parse(line) as Command
        if (execute === 'qmp_capabilities') {
          send({ return: {}, id })
          continue
        }
        if (execute !== 'query-status') commands.push(`${execute} ${JSON.stringify(given)}`)
        const [major, minor, micro] = version
        if (execute === 'migrate') migration = 'wait-unplug'
        if (execute === 'migrate_cancel') migration = 'cancelled'
        const answers: Record<string, unknown> = {
          'query-version': { qemu: { major, minor, micro } },
          'query-migrate-parameters': { 'max-bandwidth': 5000 },
          'query-migrate': { status: migration },
          'query-status': { status: state.guest },
        }
        if (execute === 'query-migrate' && migration === 'wait-unplug') migration = migrates
        if (refused.includes(execute)) send({ error: { class: 'GenericError', desc: 'Duplicate device ID' }, id })
        else send({ return: answers[execute] ?? {}, id })
        if (execute === 'device_del') send({ event: 'DEVICE_DELETED', data: { device: given.id } })
      }
    })
  })
  server.listen(path)
  return {
    commands,
    state,
    /** Without what only asks. */
    acts: () => commands.filter((command) => !command.startsWith('query-')),
    close: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

function bench(t: TestContext, form: 'vhost-user' | 'vfio-user' = 'vhost-user') {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-qmp-'))
  const qmp = join(directory, 'q.sock')
  const events: SwitchEvent[] = []
  const plug = new QmpPlug({
    port: (name) => (name === 'alpha' ? { iov: { ...iov, form, qmp }, mac: '52:54:00:77:00:01' } : undefined),
    log: (event) => events.push(event),
  })
  t.after(async () => {
    await plug.close()
    rmSync(directory, { recursive: true })
  })
  const until = async (done: () => boolean): Promise<void> => {
    for (const end = performance.now() + WAIT_MS; !done(); await sleep(5))
      assert.ok(performance.now() < end, JSON.stringify(events))
  }
  const logged = (code: string) => () => events.some((event) => event.code === code)
  return { plug, qmp, events, until, logged }
}

test('a virtio function is plugged with its socket, and its socket goes when the guest has let go of it', async (t) => {
  const { plug, qmp, until, logged } = bench(t)
  const qemu = fakeQemu(qmp)
  await plug.plug('alpha')
  await until(logged('vf-plugged'))
  await plug.unplug('alpha')
  assert.deepEqual(qemu.acts(), [
    'chardev-add {"id":"chr-vf-alpha","backend":{"type":"socket","data":{"addr":{"type":"unix","data":{"path":"/run/a-vf.sock"}},"server":false}}}',
    'netdev_add {"type":"vhost-user","id":"net-vf-alpha","chardev":"chr-vf-alpha"}',
    'device_add {"driver":"virtio-net-pci","netdev":"net-vf-alpha","id":"vf-alpha","bus":"root-vf-alpha","mac":"52:54:00:77:00:01","romfile":""}',
    'device_del {"id":"vf-alpha"}',
    'netdev_del {"id":"net-vf-alpha"}',
    'chardev-remove {"id":"chr-vf-alpha"}',
  ])
  await qemu.close()
})

test('a QEMU that comes later, or comes again, gets its function then', async (t) => {
  const { plug, qmp, events, until, logged } = bench(t)
  await plug.plug('alpha')
  const first = fakeQemu(qmp)
  await until(logged('vf-plugged'))
  await first.close()
  events.length = 0
  const second = fakeQemu(qmp)
  await until(logged('vf-plugged'))
  assert.equal(second.acts().length, 3)
  await second.close()
})

test('a plugging that is called off before its QEMU is there never happens', async (t) => {
  const { plug, qmp } = bench(t)
  await plug.plug('alpha')
  await plug.unplug('alpha')
  const qemu = fakeQemu(qmp)
  await sleep(20)
  assert.deepEqual(qemu.commands, [])
  await plug.plug('beta') // has no QMP socket
  await qemu.close()
})

test('what QEMU refuses is undone and told', async (t) => {
  const { plug, qmp, events, until, logged } = bench(t)
  const qemu = fakeQemu(qmp, { refused: ['device_add'] })
  await plug.plug('alpha')
  await until(logged('vf-not-plugged'))
  assert.match(events[0]!.message, /QMP device_add: Duplicate device ID/)
  assert.deepEqual(
    qemu.commands.slice(-2).map((command) => command.split(' ')[0]),
    ['netdev_del', 'chardev-remove'],
  )
  await plug.unplug('alpha')
  await qemu.close()
})

test('a PCI function is unplugged from a QEMU that survives it', async (t) => {
  const { plug, qmp, until, logged } = bench(t, 'vfio-user')
  const qemu = fakeQemu(qmp, { version: [11, 2, 0] })
  await plug.plug('alpha')
  await until(logged('vf-plugged'))
  assert.match(qemu.acts()[0]!, /"driver":"vfio-user-pci".*"failover_pair_id":"standby-alpha"/)
  await plug.unplug('alpha')
  assert.equal(qemu.commands.at(-1), 'device_del {"id":"vf-alpha"}')
  await qemu.close()
})

test('from an older QEMU a PCI function is taken by a migration to nowhere, and given back by calling it off', async (t) => {
  const { plug, qmp, events, until, logged } = bench(t, 'vfio-user')
  const qemu = fakeQemu(qmp, { refused: ['device_add'] }) // it is there from before
  await plug.plug('alpha')
  await until(logged('vf-plugged'))
  qemu.commands.length = 0
  await plug.unplug('alpha')
  assert.deepEqual(qemu.commands.slice(0, 5), [
    'query-version {}',
    'query-migrate-parameters {}',
    'migrate-set-parameters {"max-bandwidth":1000}',
    'migrate {"uri":"exec:cat >/dev/null"}',
    'query-migrate {}',
  ])
  qemu.commands.length = 0
  events.length = 0
  await plug.plug('alpha')
  await until(logged('vf-plugged'))
  assert.deepEqual(qemu.commands, [
    'query-migrate {}',
    'migrate_cancel {}',
    'query-migrate {}',
    'migrate-set-parameters {"max-bandwidth":5000}',
  ])
  await qemu.close()
})

test('a PCI function that can not be taken out is told of', async (t) => {
  const { plug, qmp, until, logged } = bench(t, 'vfio-user')
  const qemu = fakeQemu(qmp, { migrates: 'failed' })
  await plug.plug('alpha')
  await until(logged('vf-plugged'))
  await assert.rejects(plug.unplug('alpha'), UnplugFailedError)
  assert.ok(!qemu.commands.some((command) => command.startsWith('device_del')))
  await qemu.close()
})

test('a guest on its way here gets its function when it has come', async (t) => {
  const { plug, qmp, until, logged } = bench(t, 'vfio-user')
  const qemu = fakeQemu(qmp)
  qemu.state.guest = 'inmigrate'
  await plug.plug('alpha')
  await sleep(50)
  assert.deepEqual(qemu.acts(), [])
  qemu.state.guest = 'running'
  await until(logged('vf-plugged'))
  assert.match(qemu.acts()[0]!, /^device_add .*"id":"vf-alpha"/)
  await qemu.close()
})

test('a function that is kept out is let in for a migration in earnest, and taken out again when that comes to nothing', async (t) => {
  const { plug, qmp, until, logged } = bench(t, 'vfio-user')
  const qemu = fakeQemu(qmp)
  await plug.plug('alpha')
  await until(logged('vf-plugged'))
  await plug.unplug('alpha')
  qemu.commands.length = 0
  await plug.leaving('alpha')
  assert.deepEqual(qemu.acts(), ['migrate_cancel {}', 'migrate-set-parameters {"max-bandwidth":5000}'])
  qemu.commands.length = 0
  await plug.staying('alpha')
  assert.deepEqual(qemu.acts(), ['migrate-set-parameters {"max-bandwidth":1000}', 'migrate {"uri":"exec:cat >/dev/null"}'])
  qemu.commands.length = 0
  await plug.staying('alpha') // nothing was let in
  assert.deepEqual(qemu.commands, [])
  await plug.plug('alpha')
  await until(() => qemu.acts().length === 2)
  assert.deepEqual(qemu.acts(), ['migrate_cancel {}', 'migrate-set-parameters {"max-bandwidth":5000}'])
  await qemu.close()
})

test('a function that the guest drives is left to QEMU, which is not spoken to until the port has its function again', async (t) => {
  const { plug, qmp, events, until, logged } = bench(t, 'vfio-user')
  const qemu = fakeQemu(qmp)
  await plug.plug('alpha')
  await until(logged('vf-plugged'))
  qemu.commands.length = 0
  await plug.leaving('alpha')
  await plug.unplug('alpha')
  await plug.gone('alpha')
  assert.deepEqual(qemu.commands, [])
  events.length = 0
  await plug.plug('alpha')
  await until(logged('vf-plugged'))
  await qemu.close()
})
