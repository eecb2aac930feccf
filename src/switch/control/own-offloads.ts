// The offload resources that one module allocated by requests of its own: what it did not allocate it must not free, clear or complete
// (ES-271).
//
// The rule it must not break: a resource counts when the request that allocates it has succeeded, and no more once one that releases
// it has.
import { InnerOid } from '../../ndis/inner-oids.ts'

/** What each request that releases or completes needs to have been allocated on the same adapter. */
const needs: ReadonlyMap<number, readonly number[]> = new Map([
  [InnerOid.receiveFilterFreeQueue, [InnerOid.receiveFilterAllocateQueue]],
  [InnerOid.receiveFilterQueueAllocationComplete, [InnerOid.receiveFilterAllocateQueue]],
  [InnerOid.receiveFilterClearFilter, [InnerOid.receiveFilterSetFilter]],
  [InnerOid.nicSwitchDeleteVport, [InnerOid.nicSwitchCreateVport]],
  [InnerOid.nicSwitchFreeVf, [InnerOid.nicSwitchAllocateVf]],
  [InnerOid.ipsecOffloadDeleteSa, [InnerOid.ipsecOffloadAddSa, InnerOid.ipsecOffloadAddSaEx]],
])

const allocates: ReadonlySet<number> = new Set([...needs.values()].flat())

export class OwnOffloads {
  /** Resources by the request that allocates them and the adapter. */
  readonly #counts = new Map<string, number>()

  #key(oid: number, nicIndex: number): string {
    return `${oid}/${nicIndex}`
  }

  #allocated(oid: number, nicIndex: number): number | undefined {
    return needs.get(oid)?.find((allocation) => (this.#counts.get(this.#key(allocation, nicIndex)) ?? 0) > 0)
  }

  /** False for a request that releases or completes something of which the module allocated nothing on the adapter. */
  mayIssue(oid: number, nicIndex: number): boolean {
    return !needs.has(oid) || this.#allocated(oid, nicIndex) !== undefined
  }

  /** A request of the module's own succeeded. */
  succeeded(oid: number, nicIndex: number): void {
    const released = oid === InnerOid.receiveFilterQueueAllocationComplete ? undefined : this.#allocated(oid, nicIndex)
    if (released !== undefined) this.#add(released, nicIndex, -1)
    if (allocates.has(oid)) this.#add(oid, nicIndex, 1)
  }

  #add(oid: number, nicIndex: number, by: number): void {
    const key = this.#key(oid, nicIndex)
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + by)
  }
}
