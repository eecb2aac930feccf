// Saving, restoring and moving the ports of a running switch: what the control API offers of src/switch/save-restore (spec 8).
//
// The rule it must not break: a port that is being moved keeps its connection until it is handed over, whatever its peer does; what
// fails leaves the port where it was.
import type { SwitchControl } from '../switch/control.ts'
import type { PropertyInput } from '../switch/policies/property.ts'
import type { SavedPort, SavedSwitch } from '../switch/save-restore/saved-switch.ts'
import type { RunningAdapters } from './adapters/switch-adapters.ts'
import type { PortConfig } from './host.ts'
import type { SwitchPolicies } from './policies.ts'
import type { PortRunner } from './port-runner.ts'
import type { RestoredPort, SwitchSaver } from './saving.ts'

/** A port that can't be moved in its present state. */
export class MoveError extends Error {
  override readonly name = 'MoveError'
  readonly code = 'WRONG_STATE'
}

export interface MoveComponents {
  readonly name: string
  readonly control: SwitchControl
  readonly policies: SwitchPolicies
  readonly saver: SwitchSaver
  /** The port of a name; throws for an unknown one. */
  readonly find: (name: string) => { readonly runner: PortRunner; readonly config: PortConfig }
  readonly names: () => readonly string[]
  /** Creates a port; `prepared`: without its connection, and not following its endpoint. */
  readonly add: (config: PortConfig, prepared: boolean) => Promise<void>
  /** Creates a validation port with the properties of `config`; its id. Throws what an extension refused. */
  readonly createValidationPort: (config: PortConfig) => Promise<number>
  readonly remove: (name: string) => Promise<void>
  /** The virtual functions of ports. */
  readonly vfs: Pick<RunningAdapters, 'arrive' | 'withoutVf' | 'moves'>
}

/** What became of a port that was restored or moved here. */
export interface RestoredWithVf extends RestoredPort {
  /** Why its guest stays on the synthetic path, where it wants a virtual function and has none. */
  readonly withoutVf: string | null
}

export class PortMoves {
  readonly #components: MoveComponents
  readonly #prepared = new Set<string>()
  readonly #unplugged = new Set<string>()
  /** Validation ports that stand for ports to come, by the ports' names. */
  readonly #validating = new Map<string, number>()

  constructor(components: MoveComponents) {
    this.#components = components
  }

  /** Saves the switch with its ports; with `port`, that one without the switch's own properties. */
  save(port?: string): Promise<SavedSwitch> {
    const { name, saver, policies, find, names } = this.#components
    const ports = (port === undefined ? names() : [port]).map((portName) => {
      const { runner, config } = find(portName)
      const { properties: _, ...plain } = config
      return { id: runner.id, name: portName, config: plain }
    })
    return saver.save(name, port === undefined ? policies.list(undefined) : [], ports)
  }

  /** Restores one port: see `restoreAll`. `config` creates it where the switch has none of its name. */
  async restore(saved: SavedPort, config: PortConfig | undefined): Promise<RestoredWithVf> {
    const [restored] = await this.restoreAll({ properties: [], ports: [saved] }, new Map(config && [[saved.name, config]]))
    return restored!
  }

  /**
   * Restores properties of the switch, and ports: those that `fresh` has a configuration of are created. Run-time data of extensions is
   * restored at once, or when a port's connection is connected. Throws what an extension refused, and leaves the switch as it was then;
   * only what an extension took back of its data (ES-484) is not taken from it again: there is no request for that.
   */
  async restoreAll(
    { properties, ports }: Pick<SavedSwitch, 'properties' | 'ports'>,
    fresh: ReadonlyMap<string, PortConfig>,
  ): Promise<RestoredWithVf[]> {
    const { add, find, remove, saver } = this.#components
    const undo: (() => unknown)[] = []
    try {
      await this.#restoreProperties(undefined, properties, undo)
      for (const { name, properties: ofPort } of ports) {
        const config = fresh.get(name)
        if (!config) {
          await this.#restoreProperties(find(name).runner.id, ofPort, undo)
          continue
        }
        await add({ ...config, properties: ofPort }, false)
        undo.push(() => remove(name))
      }
      const restored: RestoredPort[] = []
      for (const saved of ports) {
        const { id } = find(saved.name).runner
        undo.push(saver.remember(id))
        restored.push(await saver.restore(id, saved))
      }
      return restored.map((one) => this.#withVf(one))
    } catch (error) {
      for (const step of undo.reverse()) await step()
      throw error
    }
  }

  #withVf(port: RestoredPort): RestoredWithVf {
    return { ...port, withoutVf: this.#components.vfs.withoutVf(port.name) }
  }

  async #restoreProperties(scope: number | undefined, saved: readonly PropertyInput[], undo: (() => unknown)[]): Promise<void> {
    const { policies } = this.#components
    const before = policies.list(scope)
    undo.push(() => policies.revert(scope, before))
    await policies.restore(scope, saved)
  }

  /**
   * Has extensions check the settings of a port that is not there: one of a VM that was made, saved or stopped. Its validation port
   * stays until the port itself is created, or until `endValidation`. Throws what an extension refused. ES-146
   */
  async validate(config: PortConfig): Promise<void> {
    await this.endValidation(config.name)
    this.#validating.set(config.name, await this.#components.createValidationPort(config))
  }

  /** Deletes the validation port that stands for `name`, if one does. ES-147 */
  async endValidation(name: string): Promise<void> {
    const id = this.#validating.get(name)
    this.#validating.delete(name)
    if (id !== undefined) await this.#components.control.deletePort(id)
  }

  /** Takes the adapter off a port: NIC_DISCONNECT, NIC_DELETE. The port stays, with its policies, until `plug`. ES-103 */
  async unplug(name: string): Promise<void> {
    const { runner } = this.#components.find(name)
    if (runner.isHeld) throw new MoveError(`port "${name}" is being moved, or has no adapter already`)
    await runner.hold()
    await this.#components.control.deleteConnection(runner.id)
    this.#unplugged.add(name)
  }

  /** Gives a port that was unplugged its adapter again: NIC_CREATE, and NIC_CONNECT once its endpoint is up. */
  async plug(name: string): Promise<void> {
    const { runner } = this.#components.find(name)
    if (!(runner.isHeld && this.#unplugged.has(name))) throw new MoveError(`port "${name}" was not unplugged`)
    await this.#components.control.createConnection(runner.id)
    this.#unplugged.delete(name)
    runner.release()
  }

  /** Target: checks the port's policies on a validation port, then creates it without its connection. ES-491, ES-492 */
  async prepare(config: PortConfig): Promise<void> {
    await this.validate(config)
    await this.#components.add(config, true) // the port takes the validation port's place
    this.#prepared.add(config.name)
  }

  /** Source: from now on the port's connection stays when its peer stops, and its virtual function does not keep the guest here. */
  async hold(name: string): Promise<void> {
    const { find, vfs } = this.#components
    const { runner } = find(name)
    if (runner.isHeld) throw new MoveError(`port "${name}" is being moved already`)
    await runner.hold()
    try {
      await vfs.moves.leave(name)
    } catch (error) {
      await this.abandon(name)
      throw error
    }
  }

  /** Source: whether the held port's peer has stopped. */
  stopped(name: string, timeoutMs: number): Promise<boolean> {
    return this.#components.find(name).runner.stopped(timeoutMs)
  }

  /** Source: saves a held port and deletes it: NIC_DISCONNECT, NIC_DELETE, PORT_TEARDOWN, PORT_DELETE. ES-493, ES-494 */
  async handOver(name: string): Promise<SavedSwitch> {
    const { find, remove, vfs } = this.#components
    const { runner } = find(name)
    if (!runner.isHeld || this.#prepared.has(name)) throw new MoveError(`port "${name}" is not held for a migration`)
    await vfs.moves.left(name, runner.linkUp)
    const saved = await this.save(name)
    await remove(name)
    return saved
  }

  /** Target: NIC_CREATE and NIC_CONNECT of the prepared port, its run-time data, then a virtual function if it wants one. ES-495 */
  async takeOver(saved: SavedPort): Promise<RestoredWithVf> {
    const { control, find, saver, vfs } = this.#components
    const { runner } = find(saved.name)
    if (!this.#prepared.has(saved.name)) throw new MoveError(`port "${saved.name}" was not prepared for a migration`)
    await control.createConnection(runner.id)
    await control.connect(runner.id)
    const restored = await saver.restore(runner.id, saved)
    this.#prepared.delete(saved.name)
    runner.expect()
    await vfs.arrive(saved.name)
    return this.#withVf(restored)
  }

  isPrepared(name: string): boolean {
    return this.#prepared.has(name)
  }

  /** Ends a migration without it: a prepared port is deleted, a held one goes on. */
  async abandon(name: string): Promise<void> {
    const { find, remove, vfs } = this.#components
    const { runner } = find(name)
    if (this.#prepared.delete(name)) return remove(name)
    runner.release()
    await vfs.moves.stay(name)
  }
}
