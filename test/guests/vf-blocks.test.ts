// Configuration blocks across the guest border: in a real guest, without any driver, a shell tool reads and writes blocks of the PF
// through the registers of its virtual function, and is told when they change.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { deviceOf, ownerOf } from '../../src/adapter/vf-binding.ts'
import { VfEndpoint } from '../../src/endpoints/vf/control.ts'
import { AdapterHarness, MAC, wireFrame } from '../support/adapter-harness.ts'
import { DataHalf } from '../support/data-half.ts'
import { GuestBench } from '../support/qemu.ts'
import { prepareVfGuests } from '../support/vf-guests.ts'

const TOOL_MS = 60_000
const GROUP = '01:00:5e:00:00:05'
const tool = readFileSync(fileURLToPath(new URL('../../examples/vf-blocks.sh', import.meta.url)), 'utf8')
const ground = await prepareVfGuests()
const skip = 'skip' in ground ? ground.skip : false

test('a tool in a guest reads and writes configuration blocks of its function, and hears of changes (SR-284, SR-285, SR-287, SR-288, SR-289, SR-292)', {
  skip,
  timeout: 120_000,
}, async (context) => {
  if ('skip' in ground) return
  const harness = await AdapterHarness.start()
  const { pf } = harness.software
  const { vf, vport } = await harness.vm(MAC.a)
  const bench = await GuestBench.open(ground.tests)
  const path = join(bench.directory, 'f')
  const half = new DataHalf()
  const channel = harness.software.channel(vf)
  const endpoint = new VfEndpoint(
    { port: vport, path, mac: MAC.a, mtu: 1500, trusted: false, requireSeals: true },
    { memory: half.memory, events: half.events, owner: ownerOf(pf, vf, 1500, () => {}, channel) },
  )
  await endpoint.open()
  pf.attachDevice(vf, deviceOf(endpoint.function))
  context.after(async () => {
    await bench.close()
    await endpoint.close()
    half.close()
  })
  const device = JSON.stringify({ driver: 'vfio-user-pci', socket: { type: 'unix', path }, id: 'vf' })
  const guest = bench.guest({ name: 'blocks', nics: [], program: ground.program, extraArguments: ['-device', device] })
  await guest.start()
  await guest.ready()
  await guest.check(`cat >/tmp/vf-blocks <<'END'\n${tool}END\nchmod +x /tmp/vf-blocks`)
  const blocks = (words: string) => guest.run(`/tmp/vf-blocks ${words}`, { timeoutMs: TOOL_MS })
  const read = async (words: string): Promise<Buffer> => {
    const { code, output } = await blocks(`read ${words}`)
    assert.equal(code, 0, output)
    return Buffer.from(output.trim(), 'hex')
  }

  const identity = await read('0 24')
  assert.equal(identity.subarray(2, 8).toString('hex'), MAC.a.replaceAll(':', ''))
  assert.equal(identity.readUInt16LE(8), 1500)
  assert.deepEqual(await read('0 128'), Buffer.concat([identity, Buffer.alloc(104)]), 'in three pieces')

  // A list of ten groups: two pieces. The NIC switch delivers by it from then on.
  const groups = [GROUP, ...Array.from({ length: 9 }, (_, i) => `01:00:5e:00:01:0${i}`)]
  const list = `000a${groups.join('').replaceAll(':', '')}`
  assert.equal((await blocks(`write 2 ${list}`)).code, 0)
  assert.deepEqual(pf.vf(vf)?.groups, groups)
  harness.send(harness.wire, wireFrame(GROUP, MAC.peer, 'a group of the guest'))
  assert.deepEqual(harness.got(vport), ['a group of the guest'])

  for (const words of ['read 77 4', 'read 0 129', 'write 2 ff00', 'write 0 00']) {
    const { code, output } = await blocks(words)
    assert.deepEqual([code, output.trim()], [1, 'vf-blocks: refused'], words)
  }
  assert.deepEqual(pf.vf(vf)?.groups, groups)

  const told = blocks('await')
  await sleep(1000) // it waits in the guest; that it does not come earlier is not what is tested
  pf.setWire(true, false)
  assert.deepEqual(await told, { code: 0, output: '0000000000000003\n' })
  assert.equal((await read('1 8')).readUInt32LE(0), 0)
  pf.invalidations.invalidate(vf, 1n << 40n)
  assert.equal((await blocks('await')).output, '0000010000000000\n', 'what changed before is told at once')
})
