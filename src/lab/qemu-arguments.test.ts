import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type GuestHardware, type NicOptions, qemuArguments } from './qemu-arguments.ts'

const hardware = (nic: Partial<NicOptions>, more: Partial<GuestHardware> = {}): GuestHardware => ({
  name: 'alpha',
  image: { kernel: '/k', initrd: '/i', release: '6' },
  memoryMiB: 256,
  processors: 1,
  nics: [{ mac: '52:54:00:77:00:01', backend: { kind: 'vhost-user', path: '/run/a.sock' }, ...nic }],
  accelerator: 'tcg',
  qemuMajor: 8,
  agentSocket: '/run/agent',
  qmpSocket: '/run/qmp',
  consoleFile: '/run/console',
  extraArguments: [],
  ...more,
})

/** The values of an option, in order. */
function valuesOf(option: string, guest: GuestHardware): string[] {
  const args = qemuArguments(guest)
  return args.flatMap((arg, index) => (arg === option ? [args[index + 1]] : []))
}

const nicOf = (guest: GuestHardware): string => valuesOf('-device', guest).at(-1) ?? ''

test("a guest's memory is shared, so that the switch can map it", () => {
  assert.deepEqual(valuesOf('-object', hardware({})), ['memory-backend-memfd,id=mem,size=256M,share=on'])
})

test('MSI-X is off only where it crashes: vhost-user, emulated processor, QEMU before 8', () => {
  assert.match(nicOf(hardware({}, { qemuMajor: 7 })), /,vectors=0/)
  assert.doesNotMatch(nicOf(hardware({}, { qemuMajor: 8 })), /vectors/)
  assert.doesNotMatch(nicOf(hardware({}, { qemuMajor: 7, accelerator: 'kvm' })), /vectors/)
  assert.doesNotMatch(nicOf(hardware({ backend: { kind: 'stream', path: '/s' } }, { qemuMajor: 7 })), /vectors/)
})

test('several queue pairs are asked for on both ends of the card', () => {
  const guest = hardware({ queues: 4 })
  assert.match(valuesOf('-netdev', guest)[0], /^vhost-user,id=net0,chardev=nic0,queues=4$/)
  assert.match(nicOf(guest), /,mq=on,vectors=10/)
})

test('commas in paths are doubled', () => {
  const guest = hardware({ backend: { kind: 'vhost-user', path: '/run/a,b' } })
  assert.ok(valuesOf('-chardev', guest).includes('socket,id=nic0,path=/run/a,,b'))
})

test('addresses and MTU reach the guest on its kernel command line', () => {
  const words = valuesOf('-append', hardware({ address: '10.77.0.1/24', mtu: 9000 }))[0].split(' ')
  for (const word of ['vmswitch.name=alpha', 'vmswitch.ip0=10.77.0.1/24', 'vmswitch.mtu0=9000', 'vmswitch.up0=1'])
    assert.ok(words.includes(word), word)
})

test('more properties of a card are passed on', () => {
  assert.match(nicOf(hardware({ properties: ['packed=on', 'mrg_rxbuf=off'] })), /,packed=on,mrg_rxbuf=off$/)
})
