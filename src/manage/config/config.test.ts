import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { ConfigError } from './diagnostics.ts'
import { checkSource, loadConfig } from './load.ts'
import type { ResolveComponents } from './resolve.ts'
import { parseYaml } from './yaml-source.ts'

const machine: ResolveComponents = { env: {}, cwd: '/home/user', canWrite: () => true }
const load = (text: string, components = machine) => checkSource(parseYaml('lab.yaml', text), '/etc/lab/lab.yaml', components)

/** The message of the error that `text` leads to. */
function complaint(text: string, components = machine): string {
  try {
    load(text, components)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.message
  }
  return assert.fail('the configuration was accepted')
}

const complains = (text: string, ...lines: string[]): void => assert.equal(complaint(text), lines.join('\n'))

describe('a configuration in YAML', () => {
  test('gets its defaults, absolute paths and normal forms', () => {
    const config = load(`
switch:
  name: lab0
  extensions:
    - use: capture
      options: { file: captures/lab0.pcapng }
  ports:
    - name: alpha
      mac: 52-54-00-77-00-0A
      endpoint: { kind: vhost-user, path: alpha.sock }
    - name: beta
      endpoint: { kind: dgram, local: /tmp/b.sock, remote: peer.sock }
guests:
  - { name: one, port: alpha, address: 10.77.0.1/24 }
`)
    assert.deepEqual(config, {
      file: '/etc/lab/lab.yaml',
      switch: {
        name: 'lab0',
        type: 'private',
        processors: 1,
        extensions: [
          {
            name: 'capture',
            use: 'capture',
            file: null,
            enabled: true,
            onFailure: 'closed',
            required: true,
            options: { file: 'captures/lab0.pcapng' },
          },
        ],
        ports: [
          {
            name: 'alpha',
            mac: '52:54:00:77:00:0a',
            macSpoofing: 'off',
            learning: false,
            link: 'up',
            endpoint: {
              kind: 'vhost-user',
              path: '/run/vmswitch/lab0/alpha.sock',
              mode: 'server',
              queuePairs: 1,
              mtu: 1500,
              requireSeals: true,
            },
          },
          {
            name: 'beta',
            mac: null,
            macSpoofing: 'off',
            learning: true,
            link: 'up',
            endpoint: { kind: 'dgram', local: '/tmp/b.sock', remote: '/run/vmswitch/lab0/peer.sock' },
          },
        ],
        macTable: { entries: 8192, ageingSeconds: 300 },
      },
      runtime: { directory: '/run/vmswitch/lab0', control: '/run/vmswitch/lab0/control.sock' },
      guests: [{ name: 'one', port: 'alpha', kind: 'auto', memoryMiB: 256, address: '10.77.0.1/24', queues: 1 }],
    })
  })

  test('names an extension after its file, or after its folder', () => {
    const directory = mkdtempSync(join(tmpdir(), 'vmswitch-names-'))
    after(() => rmSync(directory, { recursive: true }))
    for (const name of ['block.ts', 'index.ts']) writeFileSync(join(directory, name), '')
    const text = `switch:\n  name: l\n  extensions: [{ use: ./block.ts }, { use: ${directory}/index.ts }]\n`
    const { extensions } = checkSource(parseYaml('lab.yaml', text), join(directory, 'lab.yaml'), machine).switch
    assert.deepEqual(
      extensions.map((extension) => [extension.name, extension.file]),
      [
        ['block', join(directory, 'block.ts')],
        [basename(directory), join(directory, 'index.ts')],
      ],
    )
  })

  test('has its runtime directory where this user can write', () => {
    const text = 'switch: { name: lab0 }'
    const directory = (components: ResolveComponents) => load(text, components).runtime.directory
    assert.equal(directory({ ...machine, env: { XDG_RUNTIME_DIR: '/run/user/7' } }), '/run/user/7/vmswitch/lab0')
    assert.equal(directory({ ...machine, canWrite: (path) => path.startsWith('/home') }), '/home/user/.vmswitch/lab0')
    assert.equal(load(`${text}\nruntime: { directory: ../run }`).runtime.control, '/etc/run/control.sock')
  })

  test('with an unknown key is refused with its place and the key that was meant', () => {
    complains(
      'switch:\n  name: lab0\n  ports:\n    - name: alpha\n      macSpofing: on\n      endpoint: { kind: memory }\n',
      'lab.yaml:5:7: switch.ports[0]: unknown key "macSpofing"',
      '  5 |       macSpofing: on',
      '    |       ^^^^^^^^^^',
      '  did you mean "macSpoofing"?',
    )
  })

  test('with an unknown key near no known one is refused with all known ones', () => {
    complains(
      'switch:\n  name: lab0\nzzzz: 1\n',
      'lab.yaml:3:1: unknown key "zzzz"',
      '  3 | zzzz: 1',
      '    | ^^^^',
      '  known here: switch, adapters, runtime, guests, cluster, failover',
    )
  })

  test('with an unknown key in an endpoint is refused with the keys of its kind', () => {
    complains(
      'switch: { name: a, ports: [{ name: b, endpoint: { kind: tap, interface: t0, queuePairs: 2 } }] }',
      'lab.yaml:1:77: switch.ports[0].endpoint: unknown key "queuePairs"',
      '  1 | switch: { name: a, ports: [{ name: b, endpoint: { kind: tap, interface: t0, queuePairs: 2 } }] }',
      '    |                                                                             ^^^^^^^^^^',
      '  known here: kind, interface, mtu, queues',
    )
  })

  test('with a word that is no option is refused with the options', () => {
    complains(
      'switch:\n  name: lab0\n  type: privat\n',
      'lab.yaml:3:9: switch.type: expected "private", "internal" or "external", got "privat"',
      '  3 |   type: privat',
      '    |         ^^^^^^',
      '  did you mean "private"?',
    )
  })

  test('with an unknown kind of endpoint is refused with the kinds', () => {
    complains(
      'switch:\n  name: lab0\n  ports:\n    - name: a\n      endpoint:\n        kind: vhost\n',
      'lab.yaml:6:15: switch.ports[0].endpoint.kind: expected "vhost-user", "tap", "uplink", "pcap", "stream", "dgram", "unix-dgram", "websocket", "memory", "vf" or "adapter", got "vhost"',
      '  6 |         kind: vhost',
      '    |               ^^^^^',
      '  known here: vhost-user, tap, uplink, pcap, stream, dgram, unix-dgram, websocket, memory, vf, adapter',
    )
  })

  test('with true where on or off is meant says so', () => {
    complains(
      'switch:\n  name: l\n  ports:\n    - name: a\n      macSpoofing: true\n      endpoint: { kind: memory }\n',
      'lab.yaml:5:20: switch.ports[0].macSpoofing: expected "on" or "off", got true',
      '  5 |       macSpoofing: true',
      '    |                    ^^^^',
      '  did you mean "on"?',
    )
  })

  test('with a value out of range, of the wrong type or of the wrong form is refused, all in one message', () => {
    complains(
      'switch:\n  name: 7\n  processors: 0\n  ports: none\n  macTable: { entries: "64" }\nguests:\n  - { name: g, port: a, address: 10.0.0.300/24 }\n',
      'lab.yaml:2:9: switch.name: expected text, got 7',
      '  2 |   name: 7',
      '    |         ^',
      '  quote it: "7"',
      'lab.yaml:3:15: switch.processors: expected at least 1, got 0',
      '  3 |   processors: 0',
      '    |               ^',
      'lab.yaml:4:10: switch.ports: expected a list, got "none"',
      '  4 |   ports: none',
      '    |          ^^^^',
      'lab.yaml:5:24: switch.macTable.entries: expected a number, got "64"',
      '  5 |   macTable: { entries: "64" }',
      '    |                        ^^^^',
      '  remove the quotes',
      'lab.yaml:7:34: guests[0].address: expected an IPv4 address with its prefix length, such as 10.77.0.1/24, got "10.0.0.300/24"',
      '  7 |   - { name: g, port: a, address: 10.0.0.300/24 }',
      '    |                                  ^^^^^^^^^^^^^',
    )
  })

  test('that lacks something is refused at the entry that lacks it', () => {
    complains(
      'switch:\n  name: lab0\n  ports:\n    - mac: 52:54:00:00:00:01\n      endpoint: { kind: vhost-user }\n',
      'lab.yaml:4:7: switch.ports[0].name: missing; expected text',
      '  4 |     - mac: 52:54:00:00:00:01',
      '    |       ^^^',
      'lab.yaml:5:7: switch.ports[0].endpoint.path: missing; expected text',
      '  5 |       endpoint: { kind: vhost-user }',
      '    |       ^^^^^^^^',
    )
    complains('{}', 'lab.yaml:1:1: switch: missing; expected a map of keys and values', '  1 | {}', '    | ^^')
    complains('', 'lab.yaml:1:1: expected a map of keys and values, got nothing', '  1 | ', '    | ^')
  })

  test('with an empty value is refused at its key', () => {
    complains('switch:\n  name:\n', 'lab.yaml:2:3: switch.name: expected text, got nothing', '  2 |   name:', '    |   ^^^^')
  })

  test('with a duplicate key, a tab or an open bracket is refused as YAML', () => {
    complains(
      'switch:\n  name: a\n  name: b\n',
      'lab.yaml:3:3: this is not valid YAML: map keys must be unique',
      '  3 |   name: b',
      '    |   ^',
      '  remove one of the two',
    )
    assert.match(complaint('switch:\n\tname: a\n'), /^lab\.yaml:2:1: this is not valid YAML: .*\n {2}2 \| \tname: a\n {4}\| \^/)
    assert.match(complaint('switch: { name: a\n'), /^lab\.yaml:\d+:\d+: this is not valid YAML: .*\n/)
    assert.match(complaint('a: *nothing\n'), /^lab\.yaml.*this .*YAML/)
  })

  test('whose aliases expand without end is refused', () => {
    let text = 'a: &a [x, x, x, x, x, x, x, x, x, x]\n'
    for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef'].map((pair) => [pair[0], pair[1]]))
      text += `${to}: &${to} [${Array(10).fill(`*${from}`).join(', ')}]\n`
    assert.match(complaint(text), /can't be expanded/)
  })

  test('with a key that would reach the prototype is refused', () => {
    assert.match(complaint('switch: { name: a }\n__proto__: { x: 1 }\n'), /unknown key "__proto__"/)
  })
})

const port = (name: string, more = '', endpoint = '{ kind: memory }'): string =>
  `    - name: ${name}\n${more === '' ? '' : `      ${more}\n`}      endpoint: ${endpoint}\n`

describe('a configuration whose values do not fit together', () => {
  const ports = (...entries: string[]): string => `switch:\n  name: lab0\n  ports:\n${entries.join('')}`

  test('is refused for two ports of one name', () => {
    complains(
      ports(port('a'), port('a')),
      'lab.yaml:6:13: switch.ports[1].name: the port name "a" is taken by switch.ports[0]',
      '  6 |     - name: a',
      '    |             ^',
      '  give each port its own name',
    )
  })

  test('is refused for two ports of one MAC address, however written', () => {
    complains(
      ports(port('a', 'mac: 52:54:00:00:00:AA'), port('b', 'mac: 52-54-00-00-00-aa')),
      'lab.yaml:8:12: switch.ports[1].mac: the MAC address "52:54:00:00:00:aa" is taken by switch.ports[0]',
      '  8 |       mac: 52-54-00-00-00-aa',
      '    |            ^^^^^^^^^^^^^^^^^',
      '  give each port its own address',
    )
  })

  test('is refused for a group address and says which address would do', () => {
    complains(
      ports(port('a', 'mac: 01:00:5e:00:00:01')),
      'lab.yaml:5:12: switch.ports[0].mac: 01:00:5e:00:00:01 is a group address',
      '  5 |       mac: 01:00:5e:00:00:01',
      '    |            ^^^^^^^^^^^^^^^^^',
      '  the lowest bit of the first byte must be 0, for example 02:00:5e:00:00:01',
    )
    assert.match(complaint(ports(port('a', 'mac: 00:00:00:00:00:00'))), /00:00:00:00:00:00 is no address/)
  })

  test('is refused for one socket path in two places, written differently', () => {
    complains(
      ports(
        port('a', '', '{ kind: vhost-user, path: a.sock }'),
        port('b', '', '{ kind: unix-dgram, path: /run/vmswitch/lab0/./a.sock }'),
      ),
      'lab.yaml:7:43: switch.ports[1].endpoint.path: the socket path "/run/vmswitch/lab0/a.sock" is taken by switch.ports[0]',
      '  7 |       endpoint: { kind: unix-dgram, path: /run/vmswitch/lab0/./a.sock }',
      `    | ${' '.repeat(42)}${'^'.repeat('/run/vmswitch/lab0/./a.sock'.length)}`,
      '  give each socket its own path',
    )
    assert.match(complaint(ports(port('a', '', '{ kind: stream, path: control.sock }'))), /is taken by the control socket/)
  })

  test('is refused for WebSocket ports that share a token or an address, or listen for other machines', () => {
    const websocket = (rest: string): string => `{ kind: websocket, ${rest} }`
    complains(
      ports(
        port('a', '', websocket('listen: 127.0.0.1:7801, tokenFile: t')),
        port('b', '', websocket('tokenFile: /run/vmswitch/lab0/./t, listen: 127.0.0.1:7802')),
      ),
      'lab.yaml:7:47: switch.ports[1].endpoint.tokenFile: the token file "/run/vmswitch/lab0/t" is taken by switch.ports[0]',
      '  7 |       endpoint: { kind: websocket, tokenFile: /run/vmswitch/lab0/./t, listen: 127.0.0.1:7802 }',
      `    | ${' '.repeat(46)}${'^'.repeat('/run/vmswitch/lab0/./t'.length)}`,
      '  give each port its own: a token lets in to one port',
    )
    const [a, b] = ['a', 'b'].map((name) => port(name, '', websocket(`listen: 127.0.0.1:7801, tokenFile: ${name}`)))
    assert.match(complaint(ports(a!, b!)), /the address "127.0.0.1:7801" is taken by/)
    assert.match(
      complaint(ports(port('a', '', websocket('listen: 0.0.0.0:7801, tokenFile: t')))),
      /a loopback address with its port[\s\S]*needs TLS: give certificate and key/,
    )
    const secure = (rest: string) => ports(port('a', '', websocket(`listen: 0.0.0.0:7801, tokenFile: t, ${rest}`)))
    assert.match(complaint(secure('certificate: c.pem')), /certificate: there is no key with it/)
    assert.match(complaint(secure('key: k.pem')), /key: there is no certificate with it/)
    const origin = websocket('listen: 127.0.0.1:7801, tokenFile: t, origins: [http://x/y]')
    assert.match(complaint(ports(port('a', '', origin))), /an origin without a path/)
  })

  test('is refused for a socket path that Linux would not take, at the place that made it long', () => {
    const long = 'x'.repeat(100)
    const message = complaint(ports(port('a', '', `{ kind: vhost-user, path: ${long} }`)))
    assert.match(
      message,
      /^lab\.yaml:5:43: switch\.ports\[0\]\.endpoint\.path: the socket's path has 119 bytes, Linux allows 107: /,
    )
    assert.match(message, /choose a shorter path, or a shorter runtime\.directory$/)
  })

  test('of an external switch has one uplink, and an adapter of the host where it is allowed', () => {
    const external = (type: string, rest: string): string =>
      `switch:\n  name: lab0\n  type: ${type}\n${rest}  ports:\n${port('up', '', '{ kind: uplink, interface: eth1 }')}`
    const { ports: found } = load(external('external', '  allowManagementOS: true\n')).switch
    assert.deepEqual(found[0]!.endpoint, {
      kind: 'uplink',
      interface: 'eth1',
      via: 'auto',
      queues: 1,
      promiscuous: true,
      qdiscBypass: false,
    })
    assert.deepEqual(
      [found[1]!.name, found[1]!.managementOS, found[1]!.endpoint],
      ['management-os', true, { kind: 'tap', interface: 'vsw-lab0', mtu: 1500, queues: 1 }],
    )
    assert.match(complaint(external('private', '')), /a switch of type private has no uplink\n.*\n.*\n {2}set type: external/)
    assert.match(complaint(external('internal', '  allowManagementOS: true\n')), /no uplink to share with the host/)
    const second = port('more', '', '{ kind: uplink, interface: eth2 }')
    assert.match(complaint(external('external', '') + second), /port "up" is the uplink already/)
    const known = port('up', 'mac: 02:00:00:00:00:01', '{ kind: uplink, interface: eth1 }')
    assert.match(complaint(`switch:\n  name: lab0\n  type: external\n  ports:\n${known}`), /many addresses/)
  })

  test('is refused for an extension that is not there, with the one that was meant', () => {
    const extension = (use: string): string => `switch:\n  name: l\n  extensions:\n    - use: ${use}\n`
    complains(
      extension('captur'),
      'lab.yaml:4:12: switch.extensions[0].use: there is no in-box extension "captur"',
      '  4 |     - use: captur',
      '    |            ^^^^^^',
      '  did you mean "capture"?',
    )
    assert.match(complaint(extension('my/ext.ts')), /for a file, write "\.\/my\/ext\.ts"$/)
    assert.match(complaint(extension('./ext.ts')), /there is no file \/etc\/lab\/ext\.ts\n/)
    assert.match(complaint(`${extension('acl')}    - use: acl\n`), /the extension "acl" is taken by switch\.extensions\[0\]/)
  })

  test('is refused for a guest at a port that is not there, taken, or too narrow', () => {
    const guests = (text: string): string => complaint(`${ports(port('alpha'))}guests:\n${text}`)
    assert.equal(
      guests('  - { name: one, port: alhpa }\n'),
      [
        'lab.yaml:7:24: guests[0].port: there is no port "alhpa"',
        '  7 |   - { name: one, port: alhpa }',
        '    |                        ^^^^^',
        '  did you mean "alpha"?',
      ].join('\n'),
    )
    assert.match(
      guests('  - { name: x, port: alpha }\n  - { name: y, port: alpha }\n'),
      /guests\[1\]\.port: the port "alpha" is taken/,
    )
    assert.match(guests('  - { name: x, port: alpha, queues: 2 }\n'), /the guest wants 2 queue pairs, port "alpha" has 1/)
  })
})

describe('a configuration file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-config-'))
  after(() => rmSync(directory, { recursive: true }))
  const components = { ...machine, cwd: directory }
  const write = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text)
    return name
  }
  const failure = async (name: string): Promise<ConfigError> => {
    try {
      await loadConfig(name, components)
    } catch (error) {
      assert.ok(error instanceof ConfigError, String(error))
      return error
    }
    return assert.fail(`${name} was accepted`)
  }

  test('in TypeScript is taken by its default export, again when it changed', async () => {
    const name = write('lab.ts', "const n: string = 'one'\nexport default { switch: { name: n } }\n")
    assert.equal((await loadConfig(name, components)).switch.name, 'one')
    await new Promise((resolve) => setTimeout(resolve, 10))
    write('lab.ts', "export default { switch: { name: 'two' } }\n")
    assert.equal((await loadConfig(name, components)).switch.name, 'two')
  })

  test('in TypeScript is checked like any other, by path', async () => {
    const error = await failure(write('bad.ts', "export default { switch: { name: 'a', typ: 'private' } }\n"))
    assert.equal(error.message, 'bad.ts: switch: unknown key "typ"\n  did you mean "type"?')
  })

  test('in TypeScript without a default export, or that does not load, is refused', async () => {
    assert.match(
      (await failure(write('none.ts', 'export const x = 1\n'))).message,
      /^none\.ts: the module has no default export\n/,
    )
    const error = await failure(write('broken.ts', 'export default {\n'))
    assert.equal(error.code, 'config-syntax')
    assert.match(error.message, /^broken\.ts: the module can't be loaded: /)
  })

  test('that can not be read says why and what to do', async () => {
    assert.equal(
      (await failure('none.yaml')).message,
      'none.yaml: there is no such file\n  give the path of a configuration, such as examples/two-guests.yaml',
    )
    assert.match((await failure(write('lab.txt', ''))).message, /^lab\.txt: a configuration file ends in one of \.yaml, /)
    assert.match((await failure(write('big.yaml', ' '.repeat(1024 * 1024 + 1)))).message, /at most 1048576 are read/)
  })

  test('with a byte order mark is read like one without', async () => {
    assert.equal((await loadConfig(write('bom.yaml', '\uFEFFswitch: { name: bom }\n'), components)).switch.name, 'bom')
  })
})
