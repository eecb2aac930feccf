import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planChanges } from '../apply/plan.ts'
import { identifiedConfig } from '../store/state.ts'
import { ConfigError } from './diagnostics.ts'
import { checkSource } from './load.ts'
import { parseYaml } from './yaml-source.ts'

const SERVERS = 'servers: [tls://a, tls://b]'
const load = (cluster: string) => {
  const text = `switch:\n  name: lan\n${cluster === '' ? '' : `cluster: { ${cluster} }\n`}`
  return checkSource(parseYaml('lab.yaml', text), '/etc/lab/lab.yaml', { env: {}, cwd: '/', canWrite: () => true })
}
const complaint = (cluster: string): string => {
  try {
    load(cluster)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.message
  }
  return assert.fail('it was taken')
}

test('a configuration names its network, with files beside it', () => {
  const text = `${SERVERS}, network: lab, name: h1, provider: [192.0.2.1, "fd00::1"], credential: h1.creds, ca: /ca.pem, replicas: 3`
  assert.deepEqual(load(text).cluster, {
    servers: 'tls://a,tls://b',
    network: 'lab',
    name: 'h1',
    provider: ['192.0.2.1', 'fd00::1'],
    credential: '/etc/lab/h1.creds',
    ca: '/ca.pem',
    replicas: 3,
  })
  assert.equal(load('').cluster, undefined)
})

test('what vmswitch join refuses is refused at its place', () => {
  assert.match(
    complaint('servers: nats://192.0.2.9, network: lab'),
    /lab\.yaml:3:\d+: cluster\.servers: .*without TLS[\s\S]*plaintext/,
  )
  assert.ok(load('servers: nats://192.0.2.9, network: lab, plaintext: true').cluster)
  assert.match(complaint('servers: "nats://u:p@127.0.0.1", network: lab'), /cluster\.servers: a password in an address/)
  assert.match(complaint(`${SERVERS}, network: "la b"`), /cluster\.network/)
  assert.match(complaint(`${SERVERS}, network: lab, provider: [here]`), /cluster\.provider/)
  assert.match(complaint(SERVERS), /cluster[\s\S]*network/)
})

test('another network is a change that needs no restart', () => {
  const [none, lab, more] = ['', `${SERVERS}, network: lab`, `${SERVERS}, network: lab, name: h2`].map(load)
  const details = (from = none!, to = none!) => {
    const { changes, restart } = planChanges(identifiedConfig(from), to)
    assert.equal(restart, false)
    return changes.map(({ name, how, details: all }) => `${name} ${how}: ${all.join('; ')}`)
  }
  assert.deepEqual(details(lab, lab), [])
  assert.deepEqual(details(none, lab), ['network of hosts live: cluster: none → {"network":"lab","servers":"tls://a,tls://b"}'])
  assert.deepEqual(details(lab, more), ['network of hosts live: cluster.name: none → h2'])
  assert.equal(details(more, none).length, 1)
})
