// The command line as a process, against a control server over a real socket with a fake switch behind it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type ControlServer, startControlServer } from '../manage/control/control-server.ts'
import { fakeHost } from '../manage/control/fake-host.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-cli-'))
const fake = fakeHost()
// As the runtime directory of a switch that the command line finds by itself.
const socket = join(directory, 'vmswitch', 'lab0', 'control.sock')
let server: ControlServer | undefined

before(async () => {
  server = await startControlServer({ path: socket }, { host: fake.host, log: () => {} })
})
after(async () => {
  await server?.close()
  rmSync(directory, { recursive: true })
})

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function vmswitch(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const inherited = { PATH: process.env.PATH ?? '', XDG_RUNTIME_DIR: directory, ...env }
    execFile(bin, args, { cwd: directory, env: inherited }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

describe('vmswitch', () => {
  test('finds the running switch and shows its ports', async () => {
    const { code, stdout, stderr } = await vmswitch(['ports'])
    assert.equal(stderr, '')
    assert.equal(
      stdout,
      [
        'ID  PORT   LINK  PEER  MAC                KIND        QUEUES  ENGINE   RECEIVED  SENT  DROPPED  ENDPOINT',
        ' 1  alpha  up    yes   52:54:00:77:00:01  vhost-user       1  wasm    1 234 567     7        3  /run/l/alpha.sock',
        ' 2  beta   up    no    learns             tap              1  -               0     7        3  vsw0',
        '',
      ].join('\n'),
    )
    assert.equal(code, 0)
  })

  test('answers every question in JSON too', async () => {
    const questions = { status: 'status', ports: 'ports', ext: 'extensions', counters: 'counters', drops: 'drops' } as const
    await Promise.all(
      Object.entries(questions).map(async ([command, call]) => {
        const { stdout } = await vmswitch([command, '--json'])
        assert.deepEqual(JSON.parse(stdout), await fake.host[call](), command)
      }),
    )
  })

  test('shows the rest for a person: status, extensions, counters, drops, addresses', async () => {
    const [status, ext, counters, drops, fdb] = await Promise.all(
      ['status', 'ext', 'counters', 'drops', 'fdb'].map((command) =>
        vmswitch([command, '--socket', socket], { XDG_RUNTIME_DIR: '' }),
      ),
    )
    assert.match(
      status?.stdout ?? '',
      /^switch +lab0 \(private\), vmswitch 0\.1\.0, process 4242\nrunning for +1 h 02 min 03 s\n/,
    )
    assert.match(status?.stdout ?? '', /processor 0 +burst latency 1\.1 µs \(50 %\), 4\.2 µs \(99 %\), 16\.0 µs \(99\.9 %\)/)
    assert.match(ext?.stdout ?? '', /^acl +filtering +1\.0\.0 +yes +running +closed +0 +0 +1\.5$/m)
    assert.match(counters?.stdout ?? '', /^alpha +1 234 567 +98 765 432 +3 +1 +2 +7 +448 +0$/m)
    assert.match(drops?.stdout ?? '', /^alpha +mac-spoofing +3$/m)
    assert.match(fdb?.stdout ?? '', /^ +0 +02:00:00:00:00:05 +beta +learned +12 s$/m)
  })

  test('passes changes on and says what came of them', async () => {
    const env = { VMSWITCH_CONTROL: socket, XDG_RUNTIME_DIR: '' }
    assert.equal((await vmswitch(['fdb', 'flush', '--port', 'beta', '--vlan', '5'], env)).stdout, '1 learned address forgotten\n')
    assert.equal((await vmswitch(['ext', 'disable', 'acl'], env)).stdout, 'acl is disabled (running)\n')
    assert.deepEqual(fake.calls.slice(-2), ['flushFdb {"vlan":5,"port":"beta"}', 'setExtension {"name":"acl","enabled":false}'])
    assert.equal((await vmswitch(['ext', 'enable', 'acl'], env)).code, 0)
  })

  test('fails with 1, the message and no stack where the switch refuses', async () => {
    const refused = await vmswitch(['ext', 'reorder', 'acl', 'capture'])
    assert.deepEqual(refused, { code: 1, stdout: '', stderr: 'vmswitch: capturing extensions stand above filtering ones\n' })
    const json = await vmswitch(['ext', 'reorder', 'acl', '--json'])
    assert.deepEqual(JSON.parse(json.stdout), {
      error: { code: 'refused', message: 'capturing extensions stand above filtering ones', hint: '' },
    })
  })

  test('prints the arguments of a VMM, ready to paste, with notes beside them', async () => {
    const { stdout, stderr } = await vmswitch(['qemu-args', 'alpha', '--memory', '256'])
    assert.match(stdout, /^-m 256M \\\n-object memory-backend-memfd,.* \\\n/)
    assert.match(stderr, /^# guest memory must be shared/)
    const refused = await vmswitch(['qemu-args', 'alpha', '--vmm', 'firecracker'])
    assert.equal(refused.code, 1)
    assert.equal(
      refused.stderr,
      'vmswitch: port "alpha": Firecracker has no network card for an endpoint of kind vhost-user: it attaches to TAP interfaces only\n' +
        '  use endpoint: { kind: tap, interface: vsw0 }\n',
    )
    assert.equal((await vmswitch(['qemu-args', 'alhpa'])).stderr, 'vmswitch: there is no port "alhpa"\n  did you mean "alpha"?\n')
  })

  test('says how to start a switch where none runs, and exits with 3', async () => {
    const none = await vmswitch(['status', '--socket', join(directory, 'none.sock')])
    assert.equal(none.code, 3)
    assert.equal(
      none.stderr,
      `vmswitch: no switch runs at ${join(directory, 'none.sock')}\n  start one: vmswitch up FILE, for example: vmswitch up examples/two-guests.yaml\n`,
    )
  })

  test('exits with 2 for wrong arguments, with a suggestion', async () => {
    const wrong = await vmswitch(['prots'])
    assert.equal(wrong.code, 2)
    assert.match(wrong.stderr, /unknown command 'prots'\n\(Did you mean ports\?\)/)
    assert.equal((await vmswitch(['fdb', '--vlan', '4095'])).code, 2)
    assert.equal((await vmswitch(['--help'])).code, 0)
    assert.match((await vmswitch(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
  })

  test('checks a configuration without a switch', async () => {
    mkdirSync(join(directory, 'configs'))
    const good = join('configs', 'good.yaml')
    const bad = join('configs', 'bad.yaml')
    writeFileSync(join(directory, good), 'switch: { name: a }\n')
    writeFileSync(join(directory, bad), 'switch:\n  name: a\n  prots: []\n')
    assert.equal(
      (await vmswitch(['check', good])).stdout,
      'configs/good.yaml: switch a (private), 0 ports, 0 extensions, 0 guests: no mistakes found\n',
    )
    assert.deepEqual(await vmswitch(['check', bad]), {
      code: 2,
      stdout: '',
      stderr:
        'vmswitch: configs/bad.yaml:3:3: switch: unknown key "prots"\n  3 |   prots: []\n    |   ^^^^^\n  did you mean "ports"?\n',
    })
    const json = JSON.parse((await vmswitch(['check', bad, '--json'])).stdout) as { diagnostics: { place: unknown }[] }
    assert.deepEqual(json.diagnostics[0]?.place, { line: 3, column: 3, length: 5 })
    assert.equal((await vmswitch(['up', bad])).code, 2)
  })

  test('does not start a second switch at the same control socket', async () => {
    const file = join(directory, 'second.yaml')
    writeFileSync(file, 'switch: { name: lab0 }\n')
    const { code, stderr } = await vmswitch(['up', file])
    assert.equal(code, 1)
    assert.match(stderr, /^vmswitch: a switch already runs at .*control\.sock: stop it/)
  })
})
