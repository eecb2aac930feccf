import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { EndpointConfig, GuestConfig, ResolvedConfig, ResolvedPort } from '../manage/config/types.ts'
import { LabError } from './errors.ts'
import { runLab } from './lab.ts'
import { type LabPlan, planLab, type QemuGround } from './plan.ts'
import { FrameSplitter, lengthPrefixed } from './software/stream-link.ts'
import type { SwitchUnderLab } from './switch-under-lab.ts'

const vhostUser = (path: string): EndpointConfig => ({
  kind: 'vhost-user',
  path,
  mode: 'server',
  queuePairs: 1,
  mtu: 1500,
  requireSeals: true,
})

const port = (name: string, index: number, endpoint: EndpointConfig): ResolvedPort => ({
  name,
  mac: `52:54:00:77:00:0${index}`,
  macSpoofing: 'off',
  learning: false,
  link: 'up',
  endpoint,
})

const guest = (name: string, index: number, more: Partial<GuestConfig> = {}): GuestConfig => ({
  name,
  port: name,
  kind: 'auto',
  memoryMiB: 256,
  address: `10.77.0.${index}/24`,
  queues: 1,
  ...more,
})

function configIn(directory: string, guests = [guest('alpha', 1), guest('beta', 2)]): ResolvedConfig {
  return {
    file: join(directory, 'lab.yaml'),
    switch: {
      name: 'lab0',
      type: 'private',
      processors: 1,
      extensions: [],
      ports: guests.map(({ name }, index) => port(name, index + 1, vhostUser(join(directory, `${name}.sock`)))),
      macTable: { entries: 64, ageingSeconds: 300 },
    },
    runtime: { directory, control: join(directory, 'control.sock') },
    guests,
  }
}

const noQemu = {
  progress: () => {},
  qemuGround: async (): Promise<QemuGround> => {
    throw new LabError('program-missing', 'qemu is not installed; install it with: apt-get install it')
  },
}

const withQemu = {
  progress: () => {},
  qemuGround: async (): Promise<QemuGround> => ({
    image: { kernel: '/k', initrd: '/i', release: '6' },
    choice: { accelerator: 'tcg', reason: 'test' },
  }),
}

/** A hub with a stream socket per port: what comes in at one goes out at all others, unless `passes` says no. */
async function startHub(
  context: TestContext,
  plan: LabPlan,
  passes: (frame: Buffer) => boolean = () => true,
): Promise<SwitchUnderLab> {
  const sockets = new Map<string, Socket>()
  const servers: Server[] = []
  const paths = new Map<string, string>()
  for (const { name, endpoint } of plan.config.switch.ports) {
    if (endpoint.kind !== 'stream') continue
    paths.set(name, endpoint.path)
    const server = createServer((socket) => {
      sockets.set(name, socket)
      const splitter = new FrameSplitter()
      socket.on('error', () => {})
      socket.on('data', (bytes) =>
        splitter.push(bytes, (frame) => {
          for (const [other, to] of sockets) if (other !== name && passes(frame)) to.write(lengthPrefixed(frame))
        }),
      )
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(endpoint.path, resolve))
  }
  context.after(() => {
    for (const socket of sockets.values()) socket.destroy()
    for (const server of servers) server.close()
  })
  return {
    portSocket: (name) => paths.get(name) ?? assert.fail(`no socket of port ${name}`),
    describe: () => ({ name: 'lab0', controlSocket: '/control', captures: ['/captures/lab0.pcapng'] }),
    counters: () => [{ port: 'alpha', receivedFrames: 1, sentFrames: 2, droppedFrames: 0 }],
  }
}

function folder(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'lab-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

test('without QEMU every guest becomes a software guest, and the plan says why and what would help', async () => {
  const plan = await planLab(configIn('/run/lab0'), noQemu)
  assert.deepEqual(
    plan.guests.map(({ kind }) => kind),
    ['software', 'software'],
  )
  assert.deepEqual(plan.config.switch.ports[0].endpoint, { kind: 'stream', path: '/run/lab0/alpha.stream', mode: 'server' })
  assert.match(plan.notes[0], /software guests in place of QEMU: .*apt-get install/)
  assert.equal(plan.notes.length, 3)
})

test('with QEMU the endpoints stay as they are configured', async () => {
  const config = configIn('/run/lab0')
  const plan = await planLab(config, withQemu)
  assert.deepEqual(plan.config, config)
  assert.deepEqual(plan.notes, [])
})

test('a guest that must run under QEMU is an error where QEMU is not', async () => {
  const config = configIn('/run/lab0', [guest('alpha', 1, { kind: 'qemu' }), guest('beta', 2)])
  await assert.rejects(planLab(config, noQemu), { code: 'program-missing', message: /alpha must run under QEMU.*apt-get/ })
})

test('a software guest beside a QEMU one gets a stream socket, the other keeps its own', async () => {
  const plan = await planLab(configIn('/run/lab0', [guest('alpha', 1, { kind: 'software' }), guest('beta', 2)]), withQemu)
  assert.deepEqual(
    plan.config.switch.ports.map(({ endpoint }) => endpoint.kind),
    ['stream', 'vhost-user'],
  )
})

test('a QEMU guest on an endpoint that QEMU does not know is an error that names the ones it does', async () => {
  const config = configIn('/run/lab0')
  const tap = port('alpha', 1, { kind: 'tap', interface: 'tap0', mtu: 1500, queues: 1 })
  const changed = { ...config, switch: { ...config.switch, ports: [tap, config.switch.ports[1]] } }
  await assert.rejects(planLab(changed, withQemu), /guest alpha: .*"tap"; use vhost-user, stream or dgram/)
})

const iov = { weight: 100, form: 'vfio-user', path: '/run/f', queuePairs: 1, trusted: false, requireSeals: true } as const

/** A lab of alpha, with what it wants of SR-IOV, and beta. */
async function planWithFunction(
  context: TestContext,
  wanted: NonNullable<ResolvedPort['iov']>,
  functions: NonNullable<QemuGround['functions']>,
): Promise<LabPlan> {
  const config = configIn(folder(context))
  const [alpha, beta] = config.switch.ports
  const ports = [{ ...alpha!, iov: wanted }, beta!]
  const asked: unknown[] = []
  const plan = await planLab(
    { ...config, switch: { ...config.switch, ports } },
    {
      progress: () => {},
      qemuGround: async (what) => {
        asked.push(what)
        return { ...(await withQemu.qemuGround()), functions }
      },
    },
  )
  assert.deepEqual(asked, [{ functions: wanted.form === 'vfio-user' }])
  return plan
}

test('a guest under QEMU gets the virtual function of its port, and not by the QMP socket that is for others', async (context) => {
  const functions = { program: '/qemu', image: { kernel: '/k', initrd: '/i', release: '6' } }
  const plan = await planWithFunction(context, { ...iov, qmp: '/run/q' }, functions)
  assert.deepEqual(
    plan.guests.map(({ functionPath }) => functionPath),
    ['/run/f', null],
  )
  assert.deepEqual(plan.config.switch.ports[0]!.iov, iov)
  assert.match(plan.notes.join('\n'), /port alpha: its guest has the virtual function from the start/)
})

test('a guest whose virtual function can not be had starts without it, and the reason is said', async (context) => {
  const missing = await planWithFunction(context, iov, { missing: 'no QEMU is new enough' })
  assert.equal(missing.guests[0]!.functionPath, null)
  assert.deepEqual(missing.notes, ['guest alpha: without its virtual function: no QEMU is new enough'])
  const form = await planWithFunction(context, { ...iov, form: 'vhost-user' }, { missing: '' })
  assert.match(form.notes.join('\n'), /guest alpha: without its virtual function: .* form vfio-user/)
})

test('a lab of software guests pings, transfers, tells where things are, and ends well', async (context) => {
  const plan = await planLab(configIn(folder(context)), noQemu)
  const lines: string[] = []
  const outcome = await runLab(
    plan,
    { once: true, transferBytes: 1 << 20 },
    {
      switchUnderLab: await startHub(context, plan),
      write: (line) => lines.push(line),
      interrupt: new AbortController().signal,
    },
  )
  assert.deepEqual(outcome, { exitCode: 0, reason: null })
  const text = lines.join('\n')
  assert.match(text, /alpha → beta: 3 of 3 pings answered, round trip/)
  assert.match(text, /beta → alpha: 3 of 3 pings answered/)
  assert.match(text, /alpha → beta: 1\.0 MiB over TCP in .* Mbit\/s, SHA-256 equal on both sides/)
  assert.match(text, /control socket \/control/)
  assert.match(text, /capture: \/captures\/lab0\.pcapng/)
  assert.match(lines.at(-1) ?? '', /alpha, beta: stopped/)
})

test('a lab whose guests do not reach each other fails with the reason', async (context) => {
  const plan = await planLab(configIn(folder(context)), noQemu)
  const switchUnderLab = await startHub(context, plan, () => false)
  const quick = { switchUnderLab, write: () => {}, interrupt: new AbortController().signal }
  const outcome = await runLab(plan, { once: true, pingTimeoutMs: 100 }, quick)
  assert.equal(outcome.exitCode, 1)
  assert.match(outcome.reason ?? '', /alpha can't reach beta \(10\.77\.0\.2\)/)
})

test('a lab runs until interrupted, and then ends well', async (context) => {
  const plan = await planLab(configIn(folder(context)), noQemu)
  const interrupt = new AbortController()
  const outcome = await runLab(
    plan,
    { once: false, transferBytes: 1 << 20 },
    {
      switchUnderLab: await startHub(context, plan),
      write: (line) => {
        if (line.startsWith('running')) setImmediate(() => interrupt.abort())
      },
      interrupt: interrupt.signal,
    },
  )
  assert.deepEqual(outcome, { exitCode: 0, reason: null })
})

test('a lab interrupted before it has shown anything says so', async (context) => {
  const plan = await planLab(configIn(folder(context)), noQemu)
  const interrupt = new AbortController()
  const components = {
    switchUnderLab: await startHub(context, plan, () => false),
    write: (line: string) => {
      if (line.startsWith('beta: up')) setImmediate(() => interrupt.abort())
    },
    interrupt: interrupt.signal,
  }
  assert.deepEqual(await runLab(plan, { once: true, pingTimeoutMs: 100 }, components), { exitCode: 130, reason: 'interrupted' })
})
