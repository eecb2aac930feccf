// What the network imposes on this host's ports: kept with the membership, so that it is in force from a port's first frame on, whether the network
// can be heard or not.
//
// The rule it must not break: only a network that was heard takes back what it imposed, or the host's leaving it.
import { type ImposedInput, type ImposedPolicy, readImposed } from '../../switch/policies/imposed.ts'

export interface NetworkPoliciesComponents {
  /** Brings policies into force at the running switch, if there is one. */
  readonly impose: (policies: readonly ImposedPolicy[]) => Promise<void>
  /** Keeps them with the membership. Throws `not-stored`. */
  readonly save: (policies: readonly ImposedInput[]) => void
}

export class NetworkPolicies {
  readonly #components: NetworkPoliciesComponents
  #known: readonly { readonly text: string; readonly policy: ImposedPolicy }[] = []

  /** `stored`: as they were kept. One that this version can't read is left out. */
  constructor(stored: readonly ImposedInput[], components: NetworkPoliciesComponents) {
    this.#components = components
    this.#known = stored.flatMap((input) => {
      try {
        return [{ text: JSON.stringify(input), policy: readImposed(input) }]
      } catch {
        return [] // told again as soon as the network is heard
      }
    })
  }

  /** Those that are known, in the order in which they count. */
  get all(): readonly ImposedPolicy[] {
    return this.#known.map(({ policy }) => policy)
  }

  /** The same, as they are kept. */
  get written(): readonly ImposedInput[] {
    return this.#known.map(({ text }) => JSON.parse(text) as ImposedInput)
  }

  /** Takes all of a network's. Those that did not change stay the same objects. */
  async set(inputs: readonly ImposedInput[]): Promise<void> {
    const before = new Map(this.#known.map((one) => [one.text, one]))
    const written = inputs.map(
      ({ name, virtualSubnetId, port, properties }): ImposedInput => ({ name, virtualSubnetId, port, properties }),
    )
    const known = written.map((input) => {
      const text = JSON.stringify(input)
      return before.get(text) ?? { text, policy: readImposed(input) }
    })
    const isSame = known.length === this.#known.length && known.every((one, i) => one === this.#known[i])
    this.#known = known
    await this.#components.impose(this.all)
    if (!isSame) this.#components.save(written)
  }

  /** The host has left: nothing is imposed any more. */
  async clear(): Promise<void> {
    this.#known = []
    await this.#components.impose([])
  }
}
