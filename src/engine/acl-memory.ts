// Where compiled ACLs lie: in linear memory, where the kernels of all processors reach them, as long as there is room for them there, else in memory
// of their own, where rules are looked up in TypeScript. Ports with equal lists have one program: a list that a hundred guests have is compiled
// once, takes memory once, and stays in a processor's cache while they take turns. What they count is each port's own.
//
// The rule it must not break: a program's memory is given back only when no processor goes by it any more, for any port; programs never take so
// much that ports, queues or adapters find none.
import { createHash } from 'node:crypto'
import type { SharedMemory } from '../linux/shared-memory.ts'
import { type AclPlan, compileAcls, type PortAclRules, programsOf } from '../switch/acl/acl-plan.ts'
import { compileRules } from '../switch/acl/classifier-compiler.ts'
import { inLinearMemory, inOwnMemory, type Program } from '../switch/acl/program.ts'
import type { RuleList } from '../switch/acl/rule-fields.ts'
import type { ConnectionMemory } from '../switch/conntrack/connection-table.ts'

/** Bytes of linear memory that the ACLs of all ports may take together. */
export const ACL_MEMORY_BYTES = 64 * 1024 * 1024

/** Linear memory for ACLs. */
export type AclMemoryComponents = Pick<SharedMemory, 'allocate' | 'free' | 'buffer'>

/** Bytes of programs. */
export interface AclBytes {
  /** In linear memory. */
  readonly linear: number
  /** In memory of their own. */
  readonly own: number
}

/** A program and how many plans have it. */
interface Shared {
  readonly name: string
  readonly program: Program
  plans: number
}

// Lists that differ have different names: ports trust what others' rules were compiled to.
const nameOf = (list: RuleList): string => createHash('sha256').update(JSON.stringify(list)).digest('base64')

export class AclMemory {
  readonly #memory: AclMemoryComponents
  readonly #limit: number
  // The program of each list that a plan has, and all programs that plans have.
  readonly #byName = new Map<string, Shared>()
  readonly #shared = new Map<Program, Shared>()
  #taken = 0

  /** `limit`: bytes that may be taken. */
  constructor(memory: AclMemoryComponents, limit = ACL_MEMORY_BYTES) {
    this.#memory = memory
    this.#limit = limit
  }

  /** Bytes of the programs of all plans that were not released, each once. */
  figures(): AclBytes {
    let own = 0
    for (const { words, at } of this.#shared.keys()) if (at === 0) own += words.byteLength
    return { linear: this.#taken, own }
  }

  /** Compiles as compileAcls does. The plan is to be released. */
  compile(
    port: number,
    rules: PortAclRules,
    processors: number,
    connections?: () => ConnectionMemory | undefined,
  ): AclPlan | undefined {
    const plan = compileAcls(port, rules, processors, connections, (list) => this.#programOf(list))
    if (plan !== undefined) for (const program of programsOf(plan)) this.#shared.get(program)!.plans++
    return plan
  }

  /** Gives the memory of a plan back that no processor has any more. */
  release(plan: AclPlan): void {
    for (const program of programsOf(plan)) {
      const shared = this.#shared.get(program)!
      if (--shared.plans > 0) continue
      this.#shared.delete(program)
      if (this.#byName.get(shared.name) === shared) this.#byName.delete(shared.name)
      if (program.at === 0) continue
      this.#memory.free(program.at, program.words.byteLength)
      this.#taken -= program.words.byteLength
    }
  }

  #programOf(list: RuleList): Program {
    const name = nameOf(list)
    const known = this.#byName.get(name)
    if (known !== undefined && known.program.at !== 0) return known.program
    // One that found no room may find some now.
    const words = known?.program.words ?? compileRules(list)
    const placed = this.#place(words)
    if (known !== undefined && placed === undefined) return known.program
    const program = placed ?? inOwnMemory(words)
    const shared = { name, program, plans: 0 }
    this.#byName.set(name, shared)
    this.#shared.set(program, shared)
    return program
  }

  #place(words: Int32Array): Program | undefined {
    const bytes = words.byteLength
    if (this.#taken + bytes > this.#limit) return undefined
    let at: number
    try {
      at = this.#memory.allocate(bytes)
    } catch {
      return undefined // others took the arena's last bytes
    }
    this.#taken += bytes
    return inLinearMemory(words, this.#memory.buffer, at)
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
