import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cardModules, chooseModules, type ModuleSource, moduleDependencies, modulesDep } from './kernel-modules.ts'
import { parseDepends } from './kernel-package.ts'

const moduleFile = (depends: string): Buffer => Buffer.from(`ELF\0license=GPL\0depends=${depends}\0intree=Y\0`)

function source(files: Record<string, string>, builtin: readonly string[] = []): ModuleSource {
  return {
    read: (name) => (files[name] === undefined ? null : moduleFile(files[name])),
    builtin: (name) => builtin.includes(name),
  }
}

const debian = {
  virtio_pci: 'virtio_pci_modern_dev,virtio,virtio_ring',
  virtio_pci_modern_dev: '',
  virtio: '',
  virtio_ring: 'virtio',
  virtio_console: 'virtio,virtio_ring',
  virtio_net: 'net-failover,virtio_ring,virtio',
  net_failover: 'failover',
  failover: '',
  '8021q': 'mrp,garp',
  mrp: '',
  garp: '',
}

test('a module names what it needs, with dashes as underscores', () => {
  assert.deepEqual(moduleDependencies(moduleFile('net-failover,virtio')), ['net_failover', 'virtio'])
  assert.deepEqual(moduleDependencies(moduleFile('')), [])
  assert.deepEqual(moduleDependencies(Buffer.from('no such section')), [])
})

test('every module comes after those it needs', () => {
  const { modules, missing } = chooseModules(source(debian))
  assert.deepEqual(missing, [])
  const names = modules.map((module) => module.name)
  for (const { name, needs } of modules)
    for (const needed of needs) assert.ok(names.indexOf(needed) < names.indexOf(name), `${needed} before ${name}`)
  assert.deepEqual(
    modules.filter((module) => !module.atBoot).map((module) => module.name),
    ['mrp', 'garp', '8021q'],
  )
})

test('what the kernel has built in is neither carried nor missing', () => {
  const { modules, missing } = chooseModules(source({}, ['virtio_pci', 'virtio_console', 'virtio_net']))
  assert.deepEqual([modules, missing], [[], []])
})

test('a required module that the kernel lacks is named, an optional one is not', () => {
  const { virtio_net: _, ...rest } = debian
  assert.deepEqual(chooseModules(source(rest)).missing, ['virtio_net'])
})

test('modules.dep lists everything that a module needs, directly or not', () => {
  const { modules } = chooseModules(source(debian))
  const line = modulesDep(modules)
    .split('\n')
    .find((text) => text.startsWith('virtio_net.ko:'))
  assert.equal(line, 'virtio_net.ko: net_failover.ko failover.ko virtio_ring.ko virtio.ko')
})

test('the dependencies of a package are read from what apt-cache prints', () => {
  const printed = `linux-image-virtual
  Depends: linux-image-6.8.0-31-generic
 |Depends: linux-modules-6.8.0-31-generic
  Depends: <virtual-package>
  Conflicts: linux-other
`
  assert.deepEqual(parseDepends(printed), ['linux-image-6.8.0-31-generic', 'linux-modules-6.8.0-31-generic'])
})

test('drivers of network cards are carried when they are asked for', () => {
  const names = (more: readonly string[]) => chooseModules(source({ ...debian, igbvf: '' }), more).modules.map(({ name }) => name)
  assert.ok(!names([]).includes('igbvf'))
  assert.ok(names(cardModules).includes('igbvf'))
})

test('a guest that wants other modules carries those, and no more', () => {
  const { modules, missing } = chooseModules(source(debian), [], { required: ['virtio_net', 'none'], optional: ['ne2k_pci'] })
  assert.deepEqual(missing, ['none'])
  assert.deepEqual(
    modules.map((module) => module.name),
    ['failover', 'net_failover', 'virtio', 'virtio_ring', 'virtio_net'],
  )
})
