// A switch with an SR-IOV adapter, software guests with two cards each under load, and a console: what failover looks like.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createSwitch } from '../../src/engine/host.ts'
import { planFailover } from '../../src/lab/failover/plan-failover.ts'
import { SoftwareGuests } from '../../src/lab/failover/software-guests.ts'
import { SoftwarePlug } from '../../src/lab/failover/software-plug.ts'
import { loadConfig } from '../../src/manage/config/load.ts'
import { startConsoleServer } from '../../src/manage/console/console-server.ts'
import { announcedHost } from '../../src/manage/events/announced-host.ts'
import { EventBus } from '../../src/manage/events/event-bus.ts'
import type { EventLog, SwitchHost } from '../../src/manage/host.ts'
import { engineConfig, manageSwitch } from '../../src/manage/switch-host.ts'
import { StreamPeer } from './socket-peers.ts'
import { until } from './until.ts'

const consoleDirectory = fileURLToPath(new URL('../../.cache/console', import.meta.url))

export interface VfConsole {
  /** With its token. */
  readonly url: string
  readonly host: SwitchHost
  /** The other end of a stream port. */
  peer(name: string): StreamPeer
  startLoad(udpPps: number): Promise<void>
  finishLoad(): Promise<unknown>
  close(): Promise<void>
}

/** alpha wants a virtual function, beta is its peer; `ports`, `extensions`: more of them, as a configuration has them. */
export async function vfConsole(
  ports: readonly object[] = [],
  extensions: readonly object[] = [],
  directory = mkdtempSync(join(tmpdir(), 'vmswitch-vf-')),
): Promise<VfConsole> {
  const file = join(directory, 'lab.json')
  const written = {
    adapters: [{ name: 'nic0', vfs: 4 }],
    switch: {
      name: 'lab0',
      type: 'external',
      extensions,
      ports: [
        { name: 'outside', endpoint: { kind: 'adapter', adapter: 'nic0' } },
        {
          name: 'alpha',
          mac: '52:54:00:77:00:01',
          endpoint: { kind: 'vhost-user', path: 'alpha.sock' },
          iov: { form: 'vhost-user' },
        },
        { name: 'beta', mac: '52:54:00:77:00:02', endpoint: { kind: 'vhost-user', path: 'beta.sock' } },
        ...ports,
      ],
    },
    runtime: { directory: join(directory, 'run') },
    failover: { port: 'alpha', peer: 'beta', load: { seconds: 1 }, steps: [{ action: 'remove', at: 0.5 }] },
  }
  writeFileSync(file, JSON.stringify(written))
  const { config, guest, peer, functionPath } = planFailover(await loadConfig(file))
  mkdirSync(config.runtime.directory, { recursive: true })
  const events = new EventBus()
  const log: EventLog = events.publish
  const guests = new SoftwareGuests()
  const plug = new SoftwarePlug({ guests, log, path: () => functionPath })
  const running = await createSwitch(engineConfig(config), { log, plug })
  for (const { options, path } of [guest, peer]) await guests.start(options, path)
  plug.started('alpha')
  const host = manageSwitch(running, config)
  const components = { host: announcedHost(host, log), log, events, console: consoleDirectory }
  const server = await startConsoleServer({ listen: '127.0.0.1:0' }, components)
  const streams = config.switch.ports.filter(({ endpoint, link }) => endpoint.kind === 'stream' && link === 'up')
  const peers = new Map(streams.map(({ name, endpoint }) => [name, StreamPeer.connect('path' in endpoint ? endpoint.path : '')]))
  await until(async () => (await host.vfs()).some(({ state }) => state === 'active'), 'the use of the virtual function')
  return {
    url: server.url,
    host,
    peer: (name) => peers.get(name)!,
    startLoad: (udpPps) => guests.startLoad('alpha', 'beta', { tcp: false, tcpMbps: 1, udpPps }),
    finishLoad: () => guests.finishLoad(),
    async close() {
      for (const one of peers.values()) one.vanish()
      await server.close()
      await guests.close()
      await running.close()
      rmSync(directory, { recursive: true })
    },
  }
}
