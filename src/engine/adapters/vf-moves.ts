// What becomes of a VF while its VM is moved to another switch (spec 6.4): the VM is on the synthetic path for the migration, and gets
// its VF again here when that comes to nothing.
//
// A VMM takes a PCI function out of its guest by itself when it migrates it, and puts it back when the migration fails. So the VF of such
// a function stays the VM's until its port is handed over: a function that comes back finds it. A virtio-net device is taken out first.
//
// The rule it must not break: as long as the port is here, its VM's traffic goes where somebody reads it, and a VF that was taken for a
// migration comes back without one.

import { type IovPort, inOrder } from './iov-port.ts'
import type { VfGiving, VfPlug } from './vf-giving.ts'

export interface VfMovesComponents {
  readonly giving: VfGiving
  readonly plug?: VfPlug | undefined
  /** The port of a name, if it wants VFs. */
  readonly find: (name: string) => IovPort | undefined
  /** Gives the port a VF; throws why it can't have one. */
  readonly assign: (port: IovPort) => Promise<unknown>
  /** Gives what is left of VFs, by weight. */
  readonly distribute: () => Promise<void>
  readonly event: (port: IovPort, code: string, message: string) => void
}

export class VfMoves {
  readonly #components: VfMovesComponents

  constructor(components: VfMovesComponents) {
    this.#components = components
  }

  /** Source: the guest is about to be migrated. Settles when nothing of the VF keeps its VMM from that. SR-255 */
  async leave(name: string): Promise<void> {
    const { giving, plug, find } = this.#components
    const port = find(name)
    if (!port) return
    port.moving = 'leaving'
    await inOrder(port, async () => {
      if (port.iov.form === 'vfio-user') {
        await plug?.leaving?.(port.name)
        if (port.seat.active) await port.seat.park()
      } else if (port.given) {
        await giving.remove(port, false)
        port.moving = 'leaving-without'
      }
    })
  }

  /** Source: the driver of a port that is about to leave came or went; the VMM may put the function back when it gives up. */
  follow(port: IovPort): void {
    const { giving, plug, event } = this.#components
    inOrder(port, async () => {
      const { given, seat } = port
      if (!given || seat.active === port.onVf) return
      if (!seat.active) {
        // Until then the guest takes nothing from its synthetic card: what comes in waits (PD-11).
        if (port.iov.qmp !== undefined) await plug?.released?.(port.name)
        return giving.fallBack(port)
      }
      await given.run.stack?.follow(given.vf.vfId, true)
      await seat.park()
    }).catch((error: Error) => event(port, 'vf-not-followed', error.message))
  }

  /**
   * Source: the port is about to be handed over, its VF is taken back. `asked`: the guest is here still, and is asked for it; else it has
   * stopped and can't answer.
   */
  async left(name: string, asked: boolean): Promise<void> {
    const { giving, find } = this.#components
    const port = find(name)
    if (!port) return
    await inOrder(port, async () => {
      port.seat.forgetVmm()
      if (!port.given) return
      await giving.remove(port, !asked && port.seat.active)
      port.moving = 'leaving-without'
    })
  }

  /** Source: the migration comes to nothing. The VM has its VF again, if it had one. */
  async stay(name: string): Promise<void> {
    const { giving, plug, find, assign, distribute, event } = this.#components
    const port = find(name)
    if (!port || port.moving === 'no') return
    await inOrder(port, async () => {
      const { moving, seat } = port
      port.moving = 'no'
      if (port.given) {
        await (port.onVf && !seat.active ? giving.fallBack(port) : seat.unpark())
        if (port.iov.qmp !== undefined) await plug?.plug(port.name, port.given.vf)
      } else if (moving === 'leaving-without') await assign(port)
      else await plug?.staying?.(port.name)
    }).catch((error: Error) => event(port, 'vf-not-assigned', `${error.message}: traffic stays on the synthetic path`))
    await distribute()
  }
}
