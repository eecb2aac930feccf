import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EndpointConfig, VfConfig, VhostUserConfig } from '../../manage/config/types.ts'
import type { Attachment, Unsupported, VmmPort } from './vmm.ts'
import { type VmmName, vmms } from './vmms.ts'

const vhostUser = (more: Partial<VhostUserConfig> = {}): EndpointConfig => ({
  kind: 'vhost-user',
  path: '/run/l/a.sock',
  mode: 'server',
  queuePairs: 1,
  mtu: 1500,
  requireSeals: true,
  ...more,
})
const tap: EndpointConfig = { kind: 'tap', interface: 'vsw0', mtu: 1500, queues: 1 }
const stream = (mode: 'server' | 'client'): EndpointConfig => ({ kind: 'stream', path: '/run/l/a.sock', mode })
const dgram: EndpointConfig = { kind: 'dgram', local: '/run/l/sw.sock', remote: '/run/l/vm.sock' }
const websocket: EndpointConfig = {
  kind: 'websocket',
  listen: '127.0.0.1:7801',
  tokenFile: '/t',
  origins: [],
  framesPerSecond: 1,
}
const unixDgram: EndpointConfig = { kind: 'unix-dgram', path: '/run/l/a.sock' }
const mac = '52:54:00:77:00:01'
const virtualFunction = (more: Partial<VfConfig> = {}): EndpointConfig => ({
  kind: 'vf',
  path: '/run/l/v.sock',
  mac,
  mtu: 1500,
  trusted: false,
  requireSeals: true,
  ...more,
})

function answer(vmm: VmmName, endpoint: EndpointConfig, port: Partial<VmmPort> = {}) {
  return vmms[vmm]({ name: 'alpha', mac, endpoint, ...port }, 512)
}
function attachment(vmm: VmmName, endpoint: EndpointConfig, port: Partial<VmmPort> = {}): Attachment {
  const found = answer(vmm, endpoint, port)
  assert.ok('attachment' in found, JSON.stringify(found))
  return found.attachment
}
function refusal(vmm: VmmName, endpoint: EndpointConfig): Unsupported {
  const found = answer(vmm, endpoint)
  assert.ok('unsupported' in found, JSON.stringify(found))
  return found.unsupported
}

describe('QEMU', () => {
  test('is attached to vhost-user with shared, sealable memory', () => {
    assert.deepEqual(attachment('qemu', vhostUser()).arguments, [
      '-m 512M',
      '-object memory-backend-memfd,id=mem-alpha,size=512M,share=on',
      '-numa node,memdev=mem-alpha',
      '-chardev socket,id=chr-alpha,path=/run/l/a.sock',
      '-netdev vhost-user,id=net-alpha,chardev=chr-alpha',
      '-device virtio-net-pci,netdev=net-alpha,mac=52:54:00:77:00:01,romfile=',
    ])
  })

  test('listens where the switch connects, and doubles commas in paths', () => {
    const { arguments: words } = attachment('qemu', vhostUser({ mode: 'client', path: '/run/a,b.sock' }))
    assert.ok(words.includes('-chardev socket,id=chr-alpha,path=/run/a,,b.sock,server=on'))
  })

  test('gets queues and vectors for several queue pairs, and no address where the port has none', () => {
    const { arguments: words } = attachment('qemu', vhostUser({ queuePairs: 4 }), { mac: null })
    assert.ok(words.includes('-netdev vhost-user,id=net-alpha,chardev=chr-alpha,queues=4'))
    assert.ok(words.includes('-device virtio-net-pci,netdev=net-alpha,romfile=,mq=on,vectors=10'))
  })

  test('is given a virtual function as a vfio-user device, quoted for a shell', () => {
    assert.deepEqual(attachment('qemu', virtualFunction()).arguments, [
      '-machine q35',
      '-m 512M',
      '-object memory-backend-memfd,id=mem-alpha,size=512M,share=on',
      '-numa node,memdev=mem-alpha',
      `-device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/run/l/v.sock"},"id":"vf-alpha"}'`,
    ])
  })

  test('pairs a virtual function with the virtio card that stands in for it, under one address', () => {
    const standby: VmmPort = { name: 'beta', mac: null, endpoint: vhostUser() }
    const { arguments: words } = attachment('qemu', virtualFunction({ standby: 'beta' }), { mac: null, standby })
    assert.ok(
      words.includes(
        `-device virtio-net-pci,netdev=net-beta,id=standby-alpha,bus=root-standby-alpha,mac=${mac},failover=on,romfile=`,
      ),
    )
    assert.match(words.at(-1)!, /"bus":"root-vf-alpha","failover_pair_id":"standby-alpha"/)
  })

  test('is attached to stream and dgram sockets from the other side', () => {
    assert.ok(attachment('qemu', stream('server')).arguments[1]?.startsWith('-netdev stream,id=net-alpha,server=off,'))
    assert.ok(attachment('qemu', stream('client')).arguments[1]?.startsWith('-netdev stream,id=net-alpha,server=on,'))
    assert.equal(
      attachment('qemu', dgram).arguments[1],
      '-netdev dgram,id=net-alpha,local.type=unix,local.path=/run/l/vm.sock,remote.type=unix,remote.path=/run/l/sw.sock',
    )
  })

  test('is told why a TAP of the switch or the vfkit framing can not be used', () => {
    assert.match(refusal('qemu', tap).reason, /the switch itself holds the TAP interface vsw0/)
    assert.match(refusal('qemu', unixDgram).remedy, /kind: vhost-user/)
  })
})

test('Cloud Hypervisor gets shared memory, the other mode, and twice as many queues as pairs', () => {
  assert.deepEqual(attachment('cloud-hypervisor', vhostUser({ queuePairs: 2 })).arguments, [
    '--memory size=512M,shared=on',
    '--cpus boot=2',
    '--net vhost_user=true,socket=/run/l/a.sock,vhost_mode=client,num_queues=4,mac=52:54:00:77:00:01',
  ])
  assert.match(attachment('cloud-hypervisor', vhostUser({ mode: 'client' })).arguments[1] ?? '', /vhost_mode=server,num_queues=2/)
  assert.match(refusal('cloud-hypervisor', stream('server')).remedy, /kind: vhost-user/)
})

test('crosvm connects to the socket, and can not be connected to', () => {
  assert.deepEqual(attachment('crosvm', vhostUser()).arguments, ['--mem size=512', '--vhost-user net,socket=/run/l/a.sock'])
  assert.match(refusal('crosvm', vhostUser({ mode: 'client' })).remedy, /mode: server/)
})

test('Firecracker gets a TAP of its own, joined to that of the switch, and is told that vhost-user is not for it', () => {
  const { setup, text } = attachment('firecracker', tap)
  assert.deepEqual(setup, [
    'ip tuntap add dev vsw0-vm mode tap',
    'ip link add br-vsw0 type bridge',
    'ip link set vsw0 master br-vsw0',
    'ip link set vsw0-vm master br-vsw0',
    'ip link set vsw0 up',
    'ip link set vsw0-vm up',
    'ip link set br-vsw0 up',
  ])
  const configuration = JSON.parse(text ?? '') as Record<string, unknown>
  assert.deepEqual(configuration['network-interfaces'], [{ iface_id: 'alpha', guest_mac: mac, host_dev_name: 'vsw0-vm' }])
  assert.match(refusal('firecracker', vhostUser()).reason, /TAP interfaces only/)
})

test('libkrun gets the vfkit framing with its flag, or a stream socket', () => {
  const { arguments: words, text } = attachment('libkrun', unixDgram)
  assert.deepEqual(words, [
    '--memory 512',
    '--device virtio-net,type=unixgram,path=/run/l/a.sock,vfkitMagic=on,mac=52:54:00:77:00:01',
  ])
  assert.equal(
    text,
    'uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x77, 0x00, 0x01 };\nkrun_add_net_unixgram(ctx, "/run/l/a.sock", -1, mac, 0, NET_FLAG_VFKIT);',
  )
  assert.match(
    attachment('libkrun', stream('server')).text ?? '',
    /krun_add_net_unixstream\(ctx, "\/run\/l\/a\.sock", -1, mac, 0, 0\);/,
  )
  assert.match(refusal('libkrun', vhostUser()).remedy, /unix-dgram/)
})

test('every VMM has an answer for every kind, with a reason and a remedy where it can not be attached', () => {
  const uplink: EndpointConfig = {
    kind: 'uplink',
    interface: 'eth1',
    via: 'auto',
    queues: 1,
    promiscuous: true,
    qdiscBypass: false,
  }
  const kinds = [
    uplink,
    vhostUser(),
    tap,
    stream('server'),
    stream('client'),
    dgram,
    unixDgram,
    websocket,
    { kind: 'memory' } as const,
  ]
  for (const name of Object.keys(vmms) as VmmName[])
    for (const endpoint of kinds) {
      const found = answer(name, endpoint)
      if ('attachment' in found) assert.ok(found.attachment.arguments.length > 0 || found.attachment.text !== null)
      else assert.ok(found.unsupported.reason !== '' && found.unsupported.remedy !== '', `${name} ${endpoint.kind}`)
    }
})

test('VMMs without vfio-user say so for a virtual function', () => {
  for (const vmm of ['cloud-hypervisor', 'crosvm', 'firecracker', 'libkrun'] as const)
    assert.match(refusal(vmm, virtualFunction()).remedy, /vhost-user|QEMU|tap/)
})

describe('a port that wants a virtual function', () => {
  const iov = {
    weight: 100,
    form: 'vfio-user',
    path: '/run/l/alpha-vf.sock',
    queuePairs: 1,
    trusted: false,
    requireSeals: true,
  } as const
  const args = (more: object): readonly string[] => attachment('qemu', vhostUser(), { iov: { ...iov, ...more } }).arguments

  test('gets its synthetic card as standby of the PCI function, which QEMU pairs', () => {
    assert.deepEqual(args({}).slice(4), [
      '-device pcie-root-port,id=root-standby-alpha,chassis=1,slot=1',
      '-device pcie-root-port,id=root-vf-alpha,chassis=2,slot=2',
      '-chardev socket,id=chr-alpha,path=/run/l/a.sock',
      '-netdev vhost-user,id=net-alpha,chardev=chr-alpha',
      '-device virtio-net-pci,netdev=net-alpha,id=standby-alpha,bus=root-standby-alpha,mac=52:54:00:77:00:01,failover=on,romfile=',
      `-device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/run/l/alpha-vf.sock"},"id":"vf-alpha","bus":"root-vf-alpha","failover_pair_id":"standby-alpha"}'`,
    ])
  })

  test('gets a second virtio card for bonding where the form is vhost-user', () => {
    assert.deepEqual(args({ form: 'vhost-user', queuePairs: 2 }).slice(4), [
      '-chardev socket,id=chr-alpha,path=/run/l/a.sock',
      '-netdev vhost-user,id=net-alpha,chardev=chr-alpha',
      '-device virtio-net-pci,netdev=net-alpha,mac=52:54:00:77:00:01,romfile=',
      '-device pcie-root-port,id=root-vf-alpha,chassis=2,slot=2',
      '-chardev socket,id=chr-vf-alpha,path=/run/l/alpha-vf.sock',
      '-netdev vhost-user,id=net-vf-alpha,chardev=chr-vf-alpha,queues=2',
      '-device virtio-net-pci,netdev=net-vf-alpha,id=vf-alpha,bus=root-vf-alpha,mac=52:54:00:77:00:01,romfile=,mq=on,vectors=6',
    ])
    const { notes } = attachment('qemu', vhostUser(), { iov: { ...iov, form: 'vhost-user' } })
    assert.match(notes.join(), /bond-vf\.sh/)
  })

  test('gets a QMP socket in place of the function where the switch plugs that', () => {
    for (const form of ['vfio-user', 'vhost-user'] as const) {
      const words = args({ form, qmp: '/run/l/q.sock' })
      assert.equal(words.at(-1), '-qmp unix:/run/l/q.sock,server=on,wait=off')
      assert.doesNotMatch(words.join(), /alpha-vf\.sock/)
    }
  })

  test('is a synthetic port as any other where its weight is 0', () => {
    assert.deepEqual(args({ weight: 0 }), attachment('qemu', vhostUser()).arguments)
  })
})
