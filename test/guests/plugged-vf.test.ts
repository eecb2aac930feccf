// Virtual functions of both forms in a real guest: `vmswitch qemu-args` attaches the cards, the guest joins them (net_failover, or the
// ready-made script for bonding), and QMP plugs the function in and out while the guest is pinged.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { vmms } from '../../src/cli/vmm/vmms.ts'
import { createSwitch } from '../../src/engine/host.ts'
import { QmpPlug } from '../../src/manage/adapters/qmp-plug.ts'
import { checkSource } from '../../src/manage/config/load.ts'
import { parseYaml } from '../../src/manage/config/yaml-source.ts'
import { configuredPorts, engineConfig } from '../../src/manage/switch-host.ts'
import { GuestBench } from '../support/qemu.ts'
import { until as waitUntil } from '../support/until.ts'
import { prepareVfGuests } from '../support/vf-guests.ts'

/** Ten a second. */
const PINGS_LOST_MAX = 20
const ground = await prepareVfGuests()
const script = readFileSync(new URL('../../examples/guest/bond-vf.sh', import.meta.url))

type Form = 'vfio-user' | 'vhost-user'

const yaml = (directory: string, form: Form): string => `
adapters: [{ name: nic0, vfs: 2 }]
switch:
  name: bonded
  type: external
  ports:
    - { name: outside, endpoint: { kind: adapter, adapter: nic0 } }
    - name: alpha
      mac: 52:54:00:77:04:01
      endpoint: { kind: vhost-user, path: alpha.sock }
      iov: { form: ${form}, qmp: plug.sock }
    - { name: beta, mac: "52:54:00:77:04:02", endpoint: { kind: vhost-user, path: beta.sock } }
runtime: { directory: ${directory} }
`

const options = { skip: 'skip' in ground ? ground.skip : false, timeout: 180_000 }

/** A switch with an adapter, guest alpha with a virtual function that QMP plugs, and guest beta without one. */
async function open(context: TestContext, form: Form) {
  if ('skip' in ground) throw new Error(ground.skip)
  const bench = await GuestBench.open(ground.tests)
  const config = checkSource(parseYaml('lab.yaml', yaml(bench.directory, form)), join(bench.directory, 'lab.yaml'), {
    env: {},
    cwd: bench.directory,
    canWrite: () => true,
  })
  const events: string[] = []
  const log = (event: { source: string; code: string; message: string }): void => {
    events.push(`${event.source}: ${event.code}: ${event.message}`)
  }
  const ports = configuredPorts(config)
  const alphaPort = ports.get('alpha')!
  const plug = new QmpPlug({ log, port: (name) => (name === 'alpha' ? { iov: alphaPort.iov!, mac: alphaPort.mac } : undefined) })
  const running = await createSwitch(engineConfig(config), { log, plug })
  context.after(async () => {
    await bench.close()
    await running.close()
    await plug.close()
  })
  const answer = vmms.qemu(alphaPort, 192)
  assert.ok('attachment' in answer)
  // The guest's own machine and memory are there already.
  const words = answer.attachment.arguments.slice(4).flatMap((word) => word.split(' '))
  const { program } = ground
  const alpha = bench.guest({ name: 'alpha', nics: [], program, extraArguments: words })
  const nic = {
    mac: '52:54:00:77:04:02',
    address: '10.77.0.2/24',
    backend: { kind: 'vhost-user', path: join(bench.directory, 'beta.sock') },
  } as const
  const beta = bench.guest({ name: 'beta', nics: [nic], program })
  await Promise.all([alpha, beta].map(async (guest) => guest.start().then(() => guest.ready())))

  const state = (): string => JSON.stringify({ adapters: running.adapters.list(), drops: running.drops(), events }, null, 1)
  const until = (done: () => boolean, what: string): Promise<void> => waitUntil(done, what, state)
  const vf = () => running.adapters.list()[0]!.assigned.find(({ port }) => port === 'alpha')
  const onVf = (): boolean => vf()?.state === 'active'
  const framesOfVf = (): number =>
    running.adapters.list()[0]!.vports.find((vport) => vport.function === vf()?.vf)?.counters.receivedFrames ?? 0
  const framesOfCard = (): number => running.ports().find(({ name }) => name === 'alpha')!.counters.receivedFrames

  return { running, alpha, beta, state, until, onVf, framesOfVf, framesOfCard }
}

/** Takes the function while pings go on, and gives it back; `moved` waits until the guest has followed. */
async function takeAndGive(lab: Awaited<ReturnType<typeof open>>, moved: (toVf: boolean) => Promise<void>): Promise<void> {
  const { running, alpha, until, onVf, framesOfVf, framesOfCard, state } = lab
  await alpha.check('ping -i 0.1 10.77.0.2 >/tmp/pings 2>&1 </dev/null & echo $! >/tmp/pinging')
  const first = framesOfVf()
  await until(() => framesOfVf() - first >= 5, 'the function carries the pings')
  await running.adapters.remove('alpha')
  const card = framesOfCard()
  await moved(false)
  await until(() => framesOfCard() - card >= 5, 'the synthetic card carries the pings')
  await running.adapters.assign('alpha')
  await until(onVf, 'the function is back')
  await moved(true)
  const back = framesOfVf()
  await until(() => framesOfVf() - back >= 5, 'the function carries the pings again')
  const told = await alpha.check(
    'kill -INT $(cat /tmp/pinging); while [ -d /proc/$(cat /tmp/pinging) ]; do usleep 50000; done; cat /tmp/pings',
  )
  const [, sent, received] = /(\d+) packets transmitted, (\d+) packets received/.exec(told) ?? []
  assert.ok(
    Number(received) > 0 && Number(sent) - Number(received) <= PINGS_LOST_MAX,
    `${received} of ${sent} came back\n${state()}`,
  )
}

test(
  'a guest bonds its two virtio cards, and its pings go on while its virtual function is unplugged and plugged again',
  options,
  async (context) => {
    const lab = await open(context, 'vhost-user')
    const { alpha, beta, state, until, onVf, framesOfVf } = lab
    await alpha.check('ip address add 10.77.0.1/24 dev eth0 && ip link set eth0 up')
    await alpha.check(`echo ${script.toString('base64')} | base64 -d >/tmp/bond-vf.sh`)
    await alpha.check('sh /tmp/bond-vf.sh watch >/tmp/bond.log 2>&1 </dev/null & echo started')
    await until(onVf, 'the guest drives its virtual function')
    const slave = async (wanted: string): Promise<void> => {
      for (let i = 0; i < 100; i++) {
        const { output } = await alpha.run('cat /sys/class/net/bond0/bonding/active_slave')
        if (output.trim() === wanted) return
        await sleep(100)
      }
      assert.fail(
        `${(await alpha.run('cat /tmp/bond.log; cat /proc/net/bonding/bond0; ip address; dmesg | tail -30')).output}\n${state()}`,
      )
    }
    await slave('eth1')
    const before = framesOfVf()
    assert.equal((await alpha.ping('10.77.0.2')).received, 3, state())
    assert.equal((await beta.ping('10.77.0.1')).received, 3, state())
    assert.ok(framesOfVf() - before >= 6, `the function carries what the guest sends\n${state()}`)

    await takeAndGive(lab, (toVf) => slave(toVf ? 'eth1' : 'eth0'))
  },
)

test(
  'net_failover of a stock guest goes on with its virtio card while igbvf loses its function, and returns to it',
  options,
  async (context) => {
    const lab = await open(context, 'vfio-user')
    const { alpha, state, until, onVf, framesOfVf } = lab
    await alpha.check('ip address add 10.77.0.1/24 dev eth0 && ip link set eth0 up && modprobe igbvf')
    await until(onVf, 'the guest drives its virtual function')
    await until(() => framesOfVf() > 0, 'the guest has said something')
    const before = framesOfVf()
    assert.equal((await alpha.ping('10.77.0.2')).received, 3, state())
    assert.ok(framesOfVf() - before >= 3, `the function carries what the guest sends\n${state()}`)
    await takeAndGive(lab, async () => {})
  },
)
