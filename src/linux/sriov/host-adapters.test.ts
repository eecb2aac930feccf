// The host's cards, on a copy of sysfs in a folder and with a kernel that answers what a test says.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { sys } from '../libc.ts'
import { exchangeNetlink } from '../netlink.ts'
import {
  HostAdapterError,
  type HostComponents,
  listHostAdapters,
  provisionHostVfs,
  readHostAdapter,
  setHostVf,
} from './host-adapters.ts'
import { type HostVfWords, readVfAnswer, setVfMessage } from './vf-messages.ts'

interface Card {
  readonly total?: number
  readonly enabled?: number
  readonly driver?: string | null
  readonly iommu?: boolean
  readonly vfDriver?: string
}

/** The errors of writes to sriov_numvfs, in their order; undefined: it succeeds. */
type Refusals = (string | undefined)[]

/** A host with the card eth1 (and lo, which has none), whose VFs have these settings. */
function host(t: TestContext, card: Card = {}, settings: HostVfWords = {}, refusals: Refusals = []) {
  const { total = 4, enabled = 0, driver = 'igb', iommu = true, vfDriver = 'igbvf' } = card
  const sysfs = mkdtempSync(join(tmpdir(), 'vmswitch-sysfs-'))
  t.after(() => rmSync(sysfs, { recursive: true }))
  const file = (path: string, text: string): void => {
    mkdirSync(dirname(join(sysfs, path)), { recursive: true })
    writeFileSync(join(sysfs, path), `${text}\n`)
  }
  const link = (path: string, target: string): void => {
    mkdirSync(dirname(join(sysfs, path)), { recursive: true })
    symlinkSync(join(sysfs, target), join(sysfs, path))
  }
  const pf = 'devices/0000:03:00.0'
  file(`${pf}/sriov_totalvfs`, String(total))
  file(`${pf}/sriov_numvfs`, String(enabled))
  file('class/net/eth1/ifindex', '7')
  file('class/net/eth1/address', '02:00:00:00:00:aa')
  file('class/net/eth1/operstate', 'up')
  file('class/net/lo/ifindex', '1')
  link('class/net/eth1/device', pf)
  if (driver !== null) link(`${pf}/driver`, `drivers/${driver}`)
  if (iommu) link(`${pf}/iommu_group`, 'kernel/iommu_groups/9')
  const makeVf = (vf: number): void => {
    file(`devices/0000:03:10.${vf}/net/eth1v${vf}/ifindex`, String(10 + vf))
    link(`devices/0000:03:10.${vf}/driver`, `drivers/${vfDriver}`)
    link(`${pf}/virtfn${vf}`, `devices/0000:03:10.${vf}`)
  }
  for (let vf = 0; vf < total; vf++) makeVf(vf)

  const writes: string[] = []
  const sent: Buffer[] = []
  let present = settings
  let errno = 0
  const components: HostComponents = {
    sysfs,
    write: (path, text) => {
      writes.push(text)
      const refusal = refusals.shift()
      if (refusal !== undefined) throw Object.assign(new Error(`${refusal}: refused, write`), { code: refusal })
      writeFileSync(path, text)
    },
    exchange: (message) => {
      sent.push(message)
      if (message.readUInt16LE(4) === 18) return setVfMessage(7, 0, { mac: '02:00:00:00:00:01', vlan: 0, ...present }, 1)
      const [asked] = readVfAnswer(message).vfs
      if (errno === 0 && asked)
        present = Object.fromEntries(Object.entries(asked).filter(([key, value]) => key !== 'vf' && value !== null))
      const ack = Buffer.alloc(36)
      ack.writeUInt32LE(36, 0)
      ack.writeUInt16LE(2, 4)
      ack.writeInt32LE(-errno, 16)
      return ack
    },
  }
  return {
    components,
    writes,
    sent,
    enabled: () => readFileSync(join(sysfs, `${pf}/sriov_numvfs`), 'utf8').trim(),
    refuseWith: (number: number) => {
      errno = number
    },
  }
}

const code = (expected: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof HostAdapterError, String(error))
  assert.equal(error.code, expected)
  assert.match(`${error.message}; ${error.hint}`, message)
  return true
}

test('a card with SR-IOV is found with its VFs, their drivers, interfaces and settings', (t) => {
  const { components } = host(t, { enabled: 2 }, { vlan: 10, qos: 1, spoofchk: true, max_tx_rate: 100 })
  const [adapter, ...others] = listHostAdapters(components)
  assert.equal(others.length, 0)
  assert.deepEqual(
    { ...adapter, functions: adapter?.functions.length },
    {
      interface: 'eth1',
      index: 7,
      mac: '02:00:00:00:00:aa',
      pci: '0000:03:00.0',
      driver: 'igb',
      link: 'up',
      vfs: { total: 4, enabled: 2 },
      reasons: [],
      functions: 2,
    },
  )
  const [first, second] = adapter?.functions ?? []
  assert.deepEqual([first?.pci, first?.driver, first?.interface], ['0000:03:10.0', 'igbvf', 'eth1v0'])
  assert.deepEqual([first?.settings?.vlan, first?.settings?.max_tx_rate, first?.settings?.trust], [10, 100, null])
  assert.equal(second?.settings, null)
})

test('why VFs can not be made or given to VMs is said by a code', (t) => {
  const reasons = (card: Card) => readHostAdapter('eth1', host(t, card).components)?.reasons
  assert.deepEqual(reasons({ iommu: false }), ['no-iommu'])
  assert.deepEqual(reasons({ total: 0 }), ['no-vfs'])
  assert.deepEqual(reasons({ driver: null, total: 0, iommu: false }), ['no-driver', 'no-vfs', 'no-iommu'])
  assert.equal(readHostAdapter('lo', host(t).components), null)
})

test('VFs are made, and another number of them by way of none', (t) => {
  const { components, writes } = host(t)
  assert.equal(provisionHostVfs('eth1', 2, components).vfs.enabled, 2)
  assert.equal(provisionHostVfs('eth1', 2, components).functions.length, 2)
  assert.equal(provisionHostVfs('eth1', 4, components).vfs.enabled, 4)
  assert.equal(provisionHostVfs('eth1', 0, components).vfs.enabled, 0)
  assert.deepEqual(writes, ['2', '0', '4', '0'])
})

test('what the kernel refuses is explained, and the VFs from before are made again', (t) => {
  const refused = (errno: string) => {
    const { components, enabled, writes } = host(t, { enabled: 1 }, {}, [undefined, errno])
    return { provision: () => provisionHostVfs('eth1', 3, components), enabled, writes }
  }
  const { provision, enabled, writes } = refused('ENOENT')
  assert.throws(provision, code('no-sriov-configure', /lacks sriov_configure.*module parameter/))
  assert.deepEqual(writes, ['0', '3', '1'])
  assert.equal(enabled(), '1')
  assert.throws(refused('EACCES').provision, code('not-permitted', /as root/))
  assert.throws(refused('EROFS').provision, code('not-permitted', /container/))
  assert.throws(refused('ENOMEM').provision, code('no-resources', /pci=realloc/))
  assert.throws(refused('EIO').provision, code('refused', /the kernel refuses 3 VFs of eth1: EIO/))
  const lost = host(t, { enabled: 1 }, {}, [undefined, 'ENOMEM', 'ENOMEM'])
  assert.throws(
    () => provisionHostVfs('eth1', 3, lost.components),
    code('no-resources', /1 VFs from before could not be made again/),
  )
})

test('VFs that a VM may have, too many, and cards that can have none are refused without a write', (t) => {
  const refuse = (card: Card, count: number, expected: string, message: RegExp): void => {
    const { components, writes } = host(t, card)
    assert.throws(() => provisionHostVfs('eth1', count, components), code(expected, message))
    assert.deepEqual(writes, [])
  }
  refuse({ enabled: 2, vfDriver: 'vfio-pci' }, 0, 'vfs-in-use', /VF 0, 1 may belong to a VM \(driver vfio-pci\)/)
  refuse({}, 5, 'too-many-vfs', /at most 4 VFs, not 5/)
  refuse({ total: 0 }, 1, 'no-vfs', /firmware/)
  refuse({ driver: null }, 1, 'no-driver', /load it/)
  assert.throws(() => provisionHostVfs('lo', 1, host(t).components), code('no-such-adapter', /it has: eth1/))
})

test('a setting of a VF is sent with what belongs to it: a priority with its VLAN, one rate with the other', (t) => {
  const { components, sent } = host(t, { enabled: 1 }, { vlan: 10, qos: 1, min_tx_rate: 5, max_tx_rate: 50 })
  const last = () => readVfAnswer(sent.findLast((message) => message.readUInt16LE(4) === 16)!).vfs[0]
  setHostVf('eth1', 0, { qos: 4 }, components)
  assert.deepEqual([last()?.vlan, last()?.qos], [10, 4])
  setHostVf('eth1', 0, { vlan: 20 }, components)
  assert.deepEqual([last()?.vlan, last()?.qos], [20, 4])
  const shown = setHostVf('eth1', 0, { vlan: 0, max_tx_rate: 60 }, components)
  assert.deepEqual([shown.settings?.vlan, shown.settings?.qos], [0, 0])
  assert.equal(shown.settings?.max_tx_rate, 60)
})

test('a VF that is not there, and what a driver refuses, are said in words', (t) => {
  const { components, refuseWith } = host(t, { enabled: 1 })
  const set = (vf: number) => () => setHostVf('eth1', vf, { trust: true }, components)
  assert.throws(set(1), code('no-such-vf', /numbered 0 to 0; make them: vmswitch adapter provision eth1 --vfs N/))
  for (const [errno, expected] of [
    [1, 'not-permitted'],
    [95, 'not-supported'],
    [22, 'bad-vf-setting'],
    [5, 'refused'],
  ] as const) {
    refuseWith(errno)
    assert.throws(set(0), code(expected, /./))
  }
})

test('the kernel takes the messages for what they are', { skip: !networkInterfaces().lo }, () => {
  const { errno } = readVfAnswer(exchangeNetlink(setVfMessage(sys.ifNametoindex('lo'), 0, { trust: true }, 1)))
  assert.ok(errno === 95 || errno === 1, `errno ${errno}: neither without such a setting, nor without permission`)
})
