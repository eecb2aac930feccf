// What becomes of a guest's virtual function when the switch dies and is started again: QEMU does not connect twice, the new switch says
// so by name, the guest lets go of the dead function, and the VM's next start has a live one.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connectControl } from '../../src/manage/control/control-client.ts'
import { GuestBench } from '../support/qemu.ts'
import { prepareVfGuests } from '../support/vf-guests.ts'

const WAIT_MS = 60_000
const ground = await prepareVfGuests()
const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const device = (path: string): string =>
  JSON.stringify({ driver: 'vfio-user-pci', socket: { type: 'unix', path }, id: 'vf', bus: 'pcie.0', addr: '0x8' })

test('a switch that was killed and started again says which VM has a dead function, and why it stays dead', {
  skip: 'skip' in ground ? ground.skip : false,
  timeout: 180_000,
}, async (context) => {
  if ('skip' in ground) return
  const bench = await GuestBench.open(ground.tests)
  const { directory } = bench
  const file = join(directory, 'lab.yaml')
  const socket = join(directory, 'vf.sock')
  const control = connectControl(join(directory, 'control.sock'))
  const port = '{ name: alpha, endpoint: { kind: vf, path: vf.sock, mac: "52:54:00:77:05:01" } }'
  writeFileSync(file, `switch:\n  name: restarted\n  ports:\n    - ${port}\nruntime: { directory: ${directory} }\n`)
  let child: ChildProcess | undefined
  let log = ''
  const until = async (done: () => boolean | Promise<boolean>, what: string): Promise<void> => {
    for (const end = performance.now() + WAIT_MS; !(await Promise.resolve(done()).catch(() => false)); await sleep(50))
      assert.ok(performance.now() < end, `${what}: ${log}`)
  }
  const detail = async (): Promise<Record<string, unknown>> => {
    const { detail: shown } = (await control.ports())[0]!
    return shown
  }
  const start = async (): Promise<ChildProcess> => {
    log = ''
    const started = spawn(bin, ['up', file, '--no-guests'], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [started.stdout, started.stderr])
      stream.on('data', (bytes: Buffer) => {
        log += bytes.toString()
      })
    child = started
    await until(async () => (await control.status()).name === 'restarted', 'the switch answers')
    return started
  }
  const end = async (how: NodeJS.Signals): Promise<void> => {
    const ended = new Promise((resolve) => child?.once('exit', resolve))
    child?.kill(how)
    await ended
  }
  context.after(async () => {
    await bench.close()
    if (child?.exitCode === null && child.signalCode === null) await end('SIGINT')
  })

  await start()
  const { program } = ground
  const guest = bench.guest({ name: 'alpha', nics: [], program, extraArguments: ['-device', device(socket)] })
  const drive = async (): Promise<void> => {
    await guest.start()
    await guest.ready()
    await guest.check('modprobe igbvf && ip link set eth0 up')
    await until(async () => (await detail()).active === true, 'the guest drives its function')
  }
  await drive()
  // QEMU 11.1 ends by an assertion of its own when its server goes in the middle of an access of the guest: the guest stands still meanwhile.
  await guest.qmp.execute('stop')
  await end('SIGKILL')

  await start()
  await until(() => /process \d+ was connected/.test(log), 'the new switch tells')
  const pid = Number(/process (\d+) was connected/.exec(log)?.[1])
  assert.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /alpha/)
  const shown = await detail()
  assert.deepEqual([shown.connected, shown.orphan], [false, pid])
  await guest.qmp.execute('cont')
  // What the message advises works with a function that does not answer.
  await guest.check('echo 0000:00:08.0 >/sys/bus/pci/drivers/igbvf/unbind; [ ! -e /sys/class/net/eth0 ]', { timeoutMs: WAIT_MS })

  await guest.stop()
  await drive()
  assert.equal((await detail()).orphan, null)
})
