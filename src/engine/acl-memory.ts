// Where compiled ACLs lie: in linear memory, where the kernels of all processors reach them, as long as there is room for them there, else in memory
// of their own, where rules are looked up in TypeScript.
//
// The rule it must not break: a program's memory is given back only when no processor goes by it any more; programs never take so much that
// ports, queues or adapters find none.
import type { SharedMemory } from '../linux/shared-memory.ts'
import { type AclPlan, programsOf } from '../switch/acl/acl-plan.ts'
import { inLinearMemory, inOwnMemory, type Program } from '../switch/acl/program.ts'

/** Bytes of linear memory that the ACLs of all ports may take together. */
export const ACL_MEMORY_BYTES = 64 * 1024 * 1024

/** Linear memory for ACLs. */
export type AclMemoryComponents = Pick<SharedMemory, 'allocate' | 'free' | 'buffer'>

/** Bytes of the programs of a port. */
export interface AclBytes {
  /** In linear memory. */
  readonly linear: number
  /** In memory of their own. */
  readonly own: number
}

export class AclMemory {
  readonly #memory: AclMemoryComponents
  readonly #limit: number
  #taken = 0

  /** `limit`: bytes that may be taken. */
  constructor(memory: AclMemoryComponents, limit = ACL_MEMORY_BYTES) {
    this.#memory = memory
    this.#limit = limit
  }

  /** Bytes of linear memory that are taken. */
  get taken(): number {
    return this.#taken
  }

  /** Puts a program where processors share it. */
  readonly place = (words: Int32Array): Program => {
    const bytes = words.byteLength
    if (this.#taken + bytes > this.#limit) return inOwnMemory(words)
    let at: number
    try {
      at = this.#memory.allocate(bytes)
    } catch {
      return inOwnMemory(words) // others took the arena's last bytes
    }
    this.#taken += bytes
    return inLinearMemory(words, this.#memory.buffer, at)
  }

  /** Gives the memory of a plan back that no processor has any more. */
  release(plan: AclPlan): void {
    for (const { words, at } of programsOf(plan)) {
      if (at === 0) continue
      this.#memory.free(at, words.byteLength)
      this.#taken -= words.byteLength
    }
  }
}

/** What the programs of a plan take. */
export function bytesOf(plan: AclPlan): AclBytes {
  let linear = 0
  let own = 0
  for (const { words, at } of programsOf(plan))
    if (at === 0) own += words.byteLength
    else linear += words.byteLength
  return { linear, own }
}
