// How ports of a running switch come, change and go: the port in the switch, the endpoints behind it, the VF of its VM.
//
// The rule it must not break: a step that fails undoes those before it, so that a port is there whole or not at all.
import type { SharedMemory } from '../linux/shared-memory.ts'
import { PortType, type SwitchControl } from '../switch/control.ts'
import type { WindowAllocator } from '../vhost-user/window-allocator.ts'
import type { SwitchPolicies } from './policies.ts'
import type { PortEffects } from './port-effects.ts'
import type { PortMoves } from './port-moves.ts'
import { endpointsOf, portOptionsOf } from './port-options.ts'
import { PortRunner, type PortRunnerOptions } from './port-runner.ts'
import type { PortSet } from './port-set.ts'
import type { PortSettings } from './port-settings.ts'
import type { ProcessorSet } from './processor-set.ts'
import type { AdaptersWithQueues } from './queues/adapters-with-queues.ts'
import type { SwitchSaver } from './saving.ts'
import { attachmentOf, type PortConfig, type SwitchComponents, type SwitchConfig } from './switch-config.ts'

export interface PortLifeComponents {
  readonly memory: SharedMemory
  readonly windows: WindowAllocator
  readonly processors: ProcessorSet
  readonly control: SwitchControl
  readonly policies: SwitchPolicies
  readonly adapters: AdaptersWithQueues
  readonly effects: PortEffects
  readonly saver: SwitchSaver
  readonly moves: PortMoves
  readonly ports: PortSet
  /** Ports came, or what the overlay knows of them changed. */
  readonly overlayChanged: () => void
  readonly log: SwitchComponents['log']
}

/** Ports that are removed beside each other when all go. */
const REMOVED_AT_ONCE = 8

/** The comings and goings of one switch's ports. */
export class PortLife {
  readonly #config: SwitchConfig
  readonly #parts: PortLifeComponents

  constructor(config: SwitchConfig, components: PortLifeComponents) {
    this.#config = config
    this.#parts = components
  }

  /** PORT_CREATE with the port's properties; a port that is neither for validation nor for later gets its connection too. Returns its id. */
  create(config: PortConfig, isValidationPort: boolean, connectionLater = false): Promise<number> {
    const { control, policies } = this.#parts
    const options = portOptionsOf(config, this.#config, { isValidationPort, connectionLater })
    return policies.creating(config.name, config.properties ?? [], () => control.createPort(options))
  }

  /** See `RunningSwitch.addPort`. `othersFollow`: `begin` is called when they stand. */
  async add(config: PortConfig, prepared: boolean, othersFollow = false): Promise<void> {
    const { control, effects, adapters, moves, ports, overlayChanged } = this.#parts
    await moves.endValidation(config.name) // ES-147
    const id = await this.create(config, false, prepared)
    const mtu = control.mtu(id) // extensions may have reduced it
    effects.enforce(id, config)
    const endpoints = endpointsOf(config, mtu)
    const common = { id, name: config.name, team: endpoints.length > 1, ownMtu: config.mtu !== undefined }
    const first = attachmentOf(config).type === PortType.external ? 1 : 0
    const runners = endpoints.map((endpoint, i) => this.#runner({ ...common, endpoint, nicIndex: first + i }))
    const runner = runners[0]!
    try {
      if (prepared) await runner.hold()
      for (const each of runners) await each.open()
      await adapters.addPort(id, config, prepared)
      if (!othersFollow) for (const each of runners) each.begin()
    } catch (error) {
      await adapters.removePort(config.name).catch(() => undefined)
      for (const each of runners) await each.close().catch(() => undefined)
      await control.deletePort(id)
      throw error
    }
    ports.set(config.name, { runner, config, team: runners.slice(1) })
    overlayChanged()
  }

  /** All ports that were added with `othersFollow` stand. */
  begin(): void {
    for (const { runner, team } of this.#parts.ports.values()) for (const each of [runner, ...team]) each.begin()
  }

  #runner(options: PortRunnerOptions): PortRunner {
    const { memory, windows, processors, control, adapters, effects, saver, log } = this.#parts
    return new PortRunner(options, {
      memory,
      windows,
      processors,
      control,
      ...adapters.forPorts,
      event: ({ port, code, message }) => log({ source: `port ${port}`, code, message }),
      connected: () => {
        effects.connected()
        return saver.connected(options.id)
      },
      linked: (up, address) => effects.team.linked(options.id, options.nicIndex ?? 0, up, address),
      stopping: () => saver.stopping(options.id),
    })
  }

  /** See `RunningSwitch.removePort`. */
  async remove(name: string): Promise<void> {
    const { control, effects, adapters, ports, processors } = this.#parts
    const { runner, team } = ports.find(name)
    ports.delete(name)
    effects.forget(runner.id)
    await adapters.removePort(name)
    for (const each of [runner, ...team]) await each.close()
    await control.deletePort(runner.id)
    for (const counters of processors.counters) counters.clearPort(runner.id)
  }

  /** Removes all ports, some at a time: an interface that goes keeps the kernel waiting, not the ports after it. */
  async removeAll(): Promise<void> {
    const names = [...this.#parts.ports.keys()].values()
    const some = async (): Promise<void> => {
      for (const name of names) await this.remove(name).catch(() => undefined)
    }
    await Promise.all(Array.from({ length: REMOVED_AT_ONCE }, some))
  }

  /** See `RunningSwitch.setPort`. */
  async set(name: string, change: PortSettings): Promise<void> {
    const { control, effects, adapters, ports, overlayChanged } = this.#parts
    const { id } = ports.find(name).runner
    if (change.friendlyName !== undefined) await control.updatePort(id, change.friendlyName)
    if (change.mtu !== undefined) await control.updateNic(id, { mtu: change.mtu })
    const port = ports.find(name)
    const config = { ...port.config, ...change }
    effects.enforce(id, config)
    ports.set(name, { ...port, config })
    adapters.policiesChanged(id)
    if (change.customerAddresses !== undefined) overlayChanged()
  }
}
