// Requests of the protocol edge, one after the other: OIDs of one switch never overtake each other. And the waiting that some of them
// need first.
import { type Oid, type OidCompletion, type OidRequest, oidName } from '../../ndis/oids.ts'
import { NdisStatus, ndisStatusName } from '../../ndis/status.ts'
import type { OidChannel } from './channel.ts'
import { SwitchControlError } from './errors.ts'
import type { After, ControlLimits } from './limits.ts'
import type { OidOutcome } from './oid-path.ts'
import type { ReferenceTable } from './references.ts'

const POLL_MS = 2
const POLL_MAX_MS = 20

export interface IssuerComponents {
  readonly channel: OidChannel
  readonly references: ReferenceTable
  readonly after: After
  readonly limits: ControlLimits
}

export class OidIssuer {
  readonly #components: IssuerComponents
  #queue: Promise<unknown> = Promise.resolve()

  constructor(components: IssuerComponents) {
    this.#components = components
  }

  /** Issues a request once those before it have completed. `done`: what its end means for the switch, before the next one is issued. */
  issue(request: OidRequest, done?: () => void): Promise<OidOutcome> {
    const result = this.#queue.then(async () => {
      const outcome = await this.#components.channel.issue(request)
      done?.()
      return outcome
    })
    this.#queue = result.catch(() => undefined)
    return result
  }

  /** Issues requests together: a round trip for all of them, where the channel can. */
  issueAll(requests: readonly OidRequest[]): Promise<readonly OidCompletion[]> {
    const { channel } = this.#components
    const result = this.#queue.then(async () => {
      if (channel.issueAll) return (await channel.issueAll(requests)).map(({ completion }) => completion)
      const completions: OidCompletion[] = []
      for (const request of requests) completions.push((await channel.issue(request)).completion)
      return completions
    })
    this.#queue = result.catch(() => undefined)
    return result
  }

  /** Issues a set request that nobody may veto. */
  async announce(oid: number, payload: unknown, done?: () => void): Promise<void> {
    await this.issue({ oid, type: 'set', payload }, done)
  }

  /**
   * Issues a create: any error is a veto and throws (ES-112, ES-181); a transient one is tried again a few times (ES-113, AMB-42).
   * Returns the payload as it reached the miniport edge.
   */
  async create(oid: typeof Oid.portCreate | typeof Oid.nicCreate, payload: unknown, what: string): Promise<unknown> {
    const { createAttempts, retryMs } = this.#components.limits
    for (let attempt = 1; ; attempt++) {
      const { completion, reached } = await this.issue({ oid, type: 'set', payload })
      const { status } = completion
      if (status === NdisStatus.success) return reached
      if (status !== NdisStatus.resources || attempt >= createAttempts)
        throw new SwitchControlError('VETOED', `an extension vetoed ${what} (${oidName(oid)}: ${ndisStatusName(status)})`, status)
      await this.#sleep(retryMs)
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#components.after(ms, resolve))
  }

  /**
   * Waits until nothing is kept of an object: references, and what `outstanding` counts. References that are kept longer than the
   * limit are taken from the modules, and they are reported. ES-135, ES-208
   */
  async drained(portId: number, nicIndex: number, outstanding: () => number): Promise<void> {
    const { channel, references, limits } = this.#components
    let waited = 0
    for (let pause = POLL_MS; ; pause = Math.min(pause * 2, POLL_MAX_MS)) {
      if (references.count(portId, nicIndex) + outstanding() === 0) return
      if (waited >= limits.drainMs) break
      await this.#sleep(pause)
      waited += pause
    }
    await channel.revoke(portId, nicIndex)
  }
}
