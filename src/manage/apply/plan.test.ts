import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PropertyInput } from '../../switch/policies/property.ts'
import { checkSource } from '../config/load.ts'
import type { Config, ResolvedConfig } from '../config/types.ts'
import { identifiedConfig } from '../store/state.ts'
import { planChanges } from './plan.ts'
import { diffProperties } from './property-diff.ts'

const resolved = (config: Config): ResolvedConfig => {
  const source = { file: 'x.yaml', lines: [], data: config, placeOfValue: () => null, placeOfKey: () => null }
  return checkSource(source, '/etc/x.yaml', { env: {}, cwd: '/', canWrite: () => true })
}

const base = {
  switch: {
    name: 'lab',
    extensions: [{ use: 'counters' }, { use: 'acl', options: { default: 'allow' } }, { use: 'mac-guard' }],
    ports: [
      { name: 'a', mac: '52:54:00:00:00:01', vlan: 10, endpoint: { kind: 'memory' } },
      { name: 'b', mtu: 1400, endpoint: { kind: 'stream', path: 'b.sock' } },
    ],
  },
} satisfies Config

const planned = (to: Config) => planChanges(identifiedConfig(resolved(base)), resolved(to))
const shown = (to: Config): string[] =>
  planned(to).changes.map(({ action, kind, name, details, how }) => `${action} ${kind} ${name} [${details.join('; ')}] ${how}`)
const withPorts = (...ports: NonNullable<Config['switch']['ports']>): Config => ({ switch: { ...base.switch, ports } })
const [portA, portB] = base.switch.ports

describe('a plan', () => {
  test('of a configuration that is there already is empty, whatever instances its properties have', () => {
    assert.deepEqual(planned(base).changes, [])
    assert.equal(planned(base).restart, false)
  })

  test('of a first configuration adds everything, by a start', () => {
    const { changes, restart } = planChanges(null, resolved(base))
    assert.equal(restart, true)
    assert.deepEqual(
      changes.map(({ action, kind, name }) => `${action} ${kind} ${name}`),
      [
        'added switch lab',
        'added extension counters',
        'added extension acl',
        'added extension mac-guard',
        'added port a',
        'added port b',
      ],
    )
  })

  test('changes snooping while the switch runs', () => {
    const to: Config = { switch: { ...base.switch, snooping: { floodUnregistered: false } } }
    assert.deepEqual(shown(to), ['changed switch snooping [snooping: none → {"floodUnregistered":false}] live'])
    assert.deepEqual(planned(to).snooping, { from: undefined, to: { floodUnregistered: false } })
    assert.equal(planned(base).snooping, null)
  })

  test('changes what can be changed in place, and makes the other ports anew', () => {
    assert.deepEqual(
      shown(withPorts({ ...portA, link: 'down', friendlyName: 'Front desk', vlan: 20 }, { ...portB, mtu: 1300 })),
      [
        'changed port a [link: up → down; friendlyName: none → Front desk; property vlan: {"mode":"access","accessVlanId":10} → {"mode":"access","accessVlanId":20}] live',
        'changed port b [mtu: 1400 → 1300] live',
      ],
    )
    const { mtu: _, ...withoutMtu } = portB
    assert.deepEqual(shown(withPorts({ ...portA, mac: '52:54:00:00:00:02' }, withoutMtu)), [
      'changed port a [mac: 52:54:00:00:00:01 → 52:54:00:00:00:02] replace',
      'changed port b [mtu: 1400 → none] replace',
    ])
  })

  test('names what comes and what goes', () => {
    assert.deepEqual(shown(withPorts(portA, { name: 'c', endpoint: { kind: 'memory' } })), [
      'removed port b [] live',
      'added port c [endpoint: memory] live',
    ])
  })

  test('tells an extension that is switched off, made anew, moved', () => {
    const extensions = (...list: NonNullable<Config['switch']['extensions']>) =>
      shown({ switch: { ...base.switch, extensions: list } })
    const [counters, acl, guard] = base.switch.extensions
    assert.deepEqual(extensions(counters, { ...acl, enabled: false }, guard), [
      'changed extension acl [enabled: true → false] live',
    ])
    assert.deepEqual(extensions(counters, { ...acl, options: { default: 'deny' } }, guard), [
      'changed extension acl [options.default: allow → deny] replace',
    ])
    assert.deepEqual(extensions(counters, guard, acl), [
      'changed switch order of extensions [counters, acl, mac-guard → counters, mac-guard, acl] live',
    ])
  })

  test('says what needs the switch to start anew', () => {
    const outside = { name: 'outside', endpoint: { kind: 'adapter' as const, adapter: 'nic0' } }
    const { changes, restart } = planned({
      switch: { ...base.switch, type: 'external', processors: 2, ports: [...base.switch.ports, outside] },
      adapters: [{ name: 'nic0', vfs: 2 }],
    })
    assert.equal(restart, true)
    assert.deepEqual(
      changes.map(({ action, kind, details, how }) => `${action} ${kind} ${details.join()} ${how}`),
      [
        'changed switch type: private → external,processors: 1 → 2 restart',
        'added adapter vfs: 2 restart',
        'added port endpoint: adapter live',
      ],
    )
  })
})

describe('the difference of properties', () => {
  const id = '0d3c1f9f-0004-4c56-9b7e-7b0b6d0e5f0c'
  const instance = '00000000-0000-4000-8000-000000000002'
  const there: PropertyInput = { type: 'custom', id, instance, version: '1.0', value: { perSecond: 5 } }

  test('knows a custom property by its name', () => {
    const wanted: PropertyInput = { type: 'custom', id: 'rate', value: { perSecond: 5 } }
    assert.deepEqual(diffProperties([there], [wanted], new Map([['rate', `{${id.toUpperCase()}}`]])), {
      added: [],
      changed: [],
      removed: [],
    })
    assert.equal(diffProperties([there], [wanted], new Map()).added.length, 1)
  })

  test('changes the one that is there and keeps its instance', () => {
    const { changed } = diffProperties([there], [{ type: 'custom', id, value: 7 }], new Map())
    assert.deepEqual(changed, [{ from: there, to: { type: 'custom', id, value: 7, instance } }])
  })

  test('pairs those that are right before it changes any', () => {
    const other: PropertyInput = { ...there, instance: '00000000-0000-4000-8000-000000000003', value: 2 }
    const { added, changed, removed } = diffProperties([there, other], [{ type: 'custom', id, value: 2 }], new Map())
    assert.deepEqual([added, changed, removed], [[], [], [there]])
  })
})
