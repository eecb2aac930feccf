// Assembles programs for the kernel's BPF machine: a method per kind of instruction, jumps to names.
//
// The rule it must not break: what it gives out has every jump resolved; a program with a jump to nowhere is an error here, not a
// puzzle for the kernel's verifier.

const INSTRUCTION_BYTES = 8
const PSEUDO_MAP_FD = 1
const FROM_REGISTER = 0x08
const LDX = 0x61
const STX = 0x63
const LOAD_WIDE = 0x18
const TO_BIG_ENDIAN = 0xdc
const CALL = 0x85
const EXIT = 0x95
const ALU64 = 0x07
const ALU32 = 0x04
const JUMP = 0x05

/** Registers: r0 takes results, r1 to r5 arguments, r6 to r9 outlive calls, r10 is the end of the stack. */
export const Register = { r0: 0, r1: 1, r2: 2, r3: 3, r4: 4, r5: 5, r6: 6, r7: 7, r8: 8, r9: 9, stack: 10 } as const
export type Register = (typeof Register)[keyof typeof Register]

const operations = { add: 0x00, mul: 0x20, or: 0x40, and: 0x50, lsh: 0x60, rsh: 0x70, xor: 0xa0, mov: 0xb0 } as const
type Operation = keyof typeof operations
const conditions = { always: 0x00, eq: 0x10, ne: 0x50, set: 0x40, gt: 0x20 } as const
type Condition = keyof typeof conditions
const sizes = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 } as const
type Size = keyof typeof sizes

/** A constant, or a register's content. */
export type Operand = number | { readonly of: Register }

/** The content of a register as an operand. */
export const of = (register: Register): Operand => ({ of: register })

export class Assembler {
  readonly #bytes: Buffer[] = []
  readonly #labels = new Map<string, number>()
  readonly #jumps: { readonly at: number; readonly to: string }[] = []

  #put(code: number, target: number, source: number, offset: number, immediate: number): this {
    const bytes = Buffer.alloc(INSTRUCTION_BYTES)
    bytes[0] = code
    bytes[1] = (source << 4) | target
    bytes.writeInt16LE(offset, 2)
    bytes.writeInt32LE(immediate | 0, 4)
    this.#bytes.push(bytes)
    return this
  }

  #operate(code: number, target: Register, operand: Operand, offset = 0): this {
    return typeof operand === 'number'
      ? this.#put(code, target, 0, offset, operand)
      : this.#put(code | FROM_REGISTER, target, operand.of, offset, 0)
  }

  /** `target = target OPERATION operand` on 64 bits. */
  do(operation: Operation, target: Register, operand: Operand): this {
    return this.#operate(ALU64 | operations[operation], target, operand)
  }

  /** The same on 32 bits; the upper half becomes 0. */
  do32(operation: Operation, target: Register, operand: Operand): this {
    return this.#operate(ALU32 | operations[operation], target, operand)
  }

  /** Turns the lowest `bits` of a register, read as they came from the wire, into a number. */
  fromWire(target: Register, bits: 16 | 32): this {
    return this.#put(TO_BIG_ENDIAN, target, 0, 0, bits)
  }

  /** `target = bytes at base + offset`. */
  load(size: Size, target: Register, base: Register, offset: number): this {
    return this.#put(LDX | sizes[size], target, base, offset, 0)
  }

  /** `bytes at base + offset = source`. */
  store(size: Size, base: Register, offset: number, source: Register): this {
    return this.#put(STX | sizes[size], base, source, offset, 0)
  }

  /** `target = the map` whose descriptor is `fd`. */
  loadMap(target: Register, fd: number): this {
    return this.#put(LOAD_WIDE, target, PSEUDO_MAP_FD, 0, fd).#put(0, 0, 0, 0, 0)
  }

  /** Goes on at `label` if `register CONDITION operand`. */
  jumpIf(condition: Exclude<Condition, 'always'>, register: Register, operand: Operand, label: string): this {
    this.#jumps.push({ at: this.#bytes.length, to: label })
    return this.#operate(JUMP | conditions[condition], register, operand)
  }

  /** Goes on at `label`. */
  jump(label: string): this {
    this.#jumps.push({ at: this.#bytes.length, to: label })
    return this.#put(JUMP, 0, 0, 0, 0)
  }

  /** Names the place of the next instruction. */
  label(name: string): this {
    if (this.#labels.has(name)) throw new Error(`label ${name} stands twice in a program`)
    this.#labels.set(name, this.#bytes.length)
    return this
  }

  /** Calls a helper of the kernel by its number. */
  call(helper: number): this {
    return this.#put(CALL, 0, 0, 0, helper)
  }

  /** Ends with r0 as the answer. */
  exit(): this {
    return this.#put(EXIT, 0, 0, 0, 0)
  }

  /** The program. Throws if a jump goes nowhere. */
  assemble(): Buffer {
    for (const { at, to } of this.#jumps) {
      const place = this.#labels.get(to)
      if (place === undefined) throw new Error(`a jump goes to ${to}, which is nowhere in the program`)
      this.#bytes[at]!.writeInt16LE(place - at - 1, 2)
    }
    return Buffer.concat(this.#bytes)
  }
}
