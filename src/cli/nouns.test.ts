// Nouns and verbs that change a running switch, as processes against a real service.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type CliService, startCliService } from '../../test/support/cli-service.ts'

let service: CliService
before(async () => {
  service = await startCliService()
})
after(() => service.close())

const ok = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await service.run(args)
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
  return stdout
}
const json = async <T>(...args: string[]): Promise<T> => JSON.parse(await ok(...args, '--json')) as T

const fails = async (code: number, words: RegExp, ...args: string[]): Promise<void> => {
  const ended = await service.run(args)
  assert.deepEqual([ended.code, words.test(ended.stderr)], [code, true], ended.stderr)
}

test('a switch is made, and given ports, VLANs and extensions, without a file, and removed with a word of consent', async () => {
  assert.equal(await ok('switch', 'create', 'lab'), 'switch lab runs\n')
  await fails(1, /the service has the switch "lab" already/, 'switch', 'create', 'other')

  assert.equal(
    await ok('port', 'add', 'a', '--vm', 'web', '--mac', '52:54:00:00:00:0a', '--kind', 'memory'),
    'a is added: memory\n',
  )
  assert.match(await ok('port', 'add', 'b', '--vlan', '10'), /^b is added: vhost-user \/.*\/b\.sock\n$/)
  await fails(2, /an endpoint of kind tap needs an interface/, 'port', 'add', 'c', '--kind', 'tap')
  assert.equal((await json<unknown[]>('port', 'list')).length, 2)
  assert.match(await ok('port', 'disconnect', 'a'), /^a: link down/)
  assert.match(await ok('port', 'connect', 'a'), /^a: link up/)
  assert.match(await ok('nic', 'list', 'a'), /^a +web +52:54:00:00:00:0a +connected /m)

  await ok('vlan', 'set', 'a', '--trunk', '10,20-30', '--native', '5')
  const vlans = await json<{ port: string; mode: string; vlans: string }[]>('vlan', 'list')
  assert.deepEqual(
    vlans.map(({ port, mode, vlans: ids }) => `${port} ${mode} ${ids}`),
    ['a trunk 5,10,20-30', 'b access 10'],
  )
  await ok('vlan', 'set', 'a', '--promiscuous', '--primary', '100', '--secondary', '200,201')
  assert.match(await ok('vlan', 'list', 'a'), /^a +web +promiscuous +100,200,201$/m)
  assert.match(await ok('vlan', 'clear', 'a'), /^a +web +untagged +-$/m)
  await fails(2, /a port has one mode/, 'vlan', 'set', 'a', '--isolated', '--access', '3')
  const guards = ['--ra-guard', 'on', '--source-guard', '10.0.0.5,learned', '--storm-limit', 'broadcast=100,multicast=10mbit']
  assert.match(
    await ok('security', 'set', 'a', ...guards, '--spoofchk', 'off'),
    /^a +web +mac-spoofing, priority-tag +router, sources 10\.0\.0\.5 learned, broadcast 100, multicast 10mbit$/m,
  )
  assert.equal(await ok('filter', 'list'), 'there are no receive filters\n')

  writeFileSync(
    join(service.directory, 'quiet.mjs'),
    `export default { id: '3f6b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a77', name: 'quiet', version: '1.2.0', class: 'filtering', attach() { return {} } }`,
  )
  const installed = await service.run(['ext', 'install', 'quiet.mjs'])
  assert.deepEqual([installed.code, installed.stdout], [0, 'quiet 1.2.0 is installed (filtering, disabled)\n'], installed.stderr)
  assert.match(await ok('extension', 'install', 'counters', '--enable'), /^counters .* \(capturing, running\)\n$/)
  assert.deepEqual(
    (await json<{ name: string; enabled: boolean }[]>('ext', 'list')).map(({ name, enabled }) => `${name} ${enabled}`),
    ['counters true', 'quiet false'],
  )
  await fails(1, /no extension in the box is called "countres": did you mean "counters"\?/, 'ext', 'install', 'countres')
  await ok('ext', 'uninstall', 'quiet')
  assert.equal((await json<unknown[]>('ext', 'list')).length, 1)

  // What was made on the command line is stored: a service that starts again has it, and what was taken off is gone.
  await ok('vlan', 'set', 'a', '--access', '7')
  await service.restart()
  assert.deepEqual(
    (await json<{ name: string; enabled: boolean }[]>('ext', 'list')).map(({ name, enabled }) => `${name} ${enabled}`),
    ['counters true'],
  )
  assert.deepEqual(
    (await json<{ name: string; vm: string }[]>('port', 'list')).map(({ name, vm }) => `${name} ${vm}`),
    ['a web', 'b b'],
  )
  assert.match(await ok('vlan', 'list', 'a'), /^a +web +access +7$/m)

  await fails(2, /forgets its ports/, 'switch', 'remove', 'lab')
  assert.equal(await ok('switch', 'remove', 'lab', '--yes'), 'switch lab is removed\n')
  await service.restart()
  await fails(1, /no switch yet/, 'ports')
  assert.equal(await ok('switch', 'create', 'again'), 'switch again runs\n')
  assert.deepEqual(await json<unknown[]>('port', 'list'), [])
})
