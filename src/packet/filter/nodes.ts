// What a capture filter is made of once its words are understood: tests of numbers that are loaded from a frame. The tree is evaluated
// here as it stands; generate.ts makes a function of it.
//
// The rule it must not break: numbers are unsigned and of 32 bits; whoever loads beyond the bytes that are there matches nothing.

/** A number computed from a frame. */
export type Value =
  | { readonly kind: 'number'; readonly value: number }
  /** Bytes of the whole frame. */
  | { readonly kind: 'length' }
  /** Big-endian, `bytes` of it at offset `at` of the frame. */
  | { readonly kind: 'load'; readonly at: Value; readonly bytes: 1 | 2 | 4 }
  | { readonly kind: 'arithmetic'; readonly operator: Arithmetic; readonly left: Value; readonly right: Value }

export type Arithmetic = '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '<<' | '>>'
export type Relation = '=' | '!=' | '<' | '<=' | '>' | '>='

export type Test =
  | { readonly kind: 'constant'; readonly value: boolean }
  | { readonly kind: 'compare'; readonly operator: Relation; readonly left: Value; readonly right: Value }
  | { readonly kind: 'and' | 'or'; readonly left: Test; readonly right: Test }
  | { readonly kind: 'not'; readonly test: Test }

export const number = (value: number): Value => ({ kind: 'number', value: value >>> 0 })
export const load = (at: Value | number, bytes: 1 | 2 | 4): Value => ({
  kind: 'load',
  at: typeof at === 'number' ? number(at) : at,
  bytes,
})
export const compare = (left: Value, operator: Relation, right: Value | number): Test => ({
  kind: 'compare',
  operator,
  left,
  right: typeof right === 'number' ? number(right) : right,
})
export const not = (test: Test): Test => ({ kind: 'not', test })
const join = (kind: 'and' | 'or', tests: readonly Test[]): Test => tests.reduce((left, right) => ({ kind, left, right }))
/** At least one test each. */
export const all = (...tests: readonly Test[]): Test => join('and', tests)
export const any = (...tests: readonly Test[]): Test => join('or', tests)

/** `left operator right`; numbers are computed at once. Throws RangeError for a division by 0. */
export function arithmetic(left: Value, operator: Arithmetic, right: Value): Value {
  if (right.kind === 'number' && right.value === 0 && (operator === '/' || operator === '%'))
    throw new RangeError('a division by 0')
  if (left.kind === 'number' && right.kind === 'number') return number(compute(operator, left.value, right.value))
  return { kind: 'arithmetic', operator, left, right }
}

function compute(operator: Arithmetic, left: number, right: number): number {
  switch (operator) {
    case '+':
      return (left + right) >>> 0
    case '-':
      return (left - right) >>> 0
    case '*':
      return Math.imul(left, right) >>> 0
    case '/':
      return Math.trunc(left / right) >>> 0
    case '%':
      return (left % right) >>> 0
    case '&':
      return (left & right) >>> 0
    case '|':
      return (left | right) >>> 0
    case '^':
      return (left ^ right) >>> 0
    case '<<':
      return right < 32 ? (left << right) >>> 0 : 0
    case '>>':
      return right < 32 ? left >>> right : 0
  }
}

/** The largest number that a value can have. */
function bound(value: Value): number {
  if (value.kind === 'number') return value.value
  if (value.kind === 'length') return Number.POSITIVE_INFINITY
  if (value.kind === 'load') return 256 ** value.bytes - 1
  const [left, right] = [bound(value.left), bound(value.right)]
  if (value.operator === '+') return left + right
  if (value.operator === '*') return left * right
  if (value.operator === '&') return Math.min(left, right)
  return Number.POSITIVE_INFINITY
}

/** Bytes from the frame's start that a test may look at; infinite where that is computed from what stands in the frame. */
export function reach(node: Test | Value): number {
  switch (node.kind) {
    case 'constant':
    case 'number':
    case 'length':
      return 0
    case 'load':
      return Math.max(reach(node.at), bound(node.at) + node.bytes)
    case 'not':
      return reach(node.test)
    default:
      return Math.max(reach(node.left), reach(node.right))
  }
}

/** Evaluates a test node by node: where code can't be generated, and as the other opinion in tests. */
export function evaluate(test: Test, bytes: Uint8Array, offset: number, kept: number, length: number): boolean {
  let cut = false
  const resultOf = (value: Value): number => {
    switch (value.kind) {
      case 'number':
        return value.value
      case 'length':
        return length
      case 'load': {
        const at = resultOf(value.at)
        if (at + value.bytes > kept) {
          cut = true
          return 0
        }
        let loaded = 0
        for (let i = 0; i < value.bytes; i++) loaded = loaded * 256 + bytes[offset + at + i]!
        return loaded
      }
      case 'arithmetic': {
        const left = resultOf(value.left)
        const right = resultOf(value.right)
        if (right === 0 && (value.operator === '/' || value.operator === '%')) {
          cut = true
          return 0
        }
        return compute(value.operator, left, right)
      }
    }
  }
  const holds = (node: Test): boolean => {
    switch (node.kind) {
      case 'constant':
        return node.value
      case 'and':
        return holds(node.left) && holds(node.right)
      case 'or':
        return holds(node.left) || holds(node.right)
      case 'not':
        return !holds(node.test)
      case 'compare': {
        const left = resultOf(node.left)
        const right = resultOf(node.right)
        if (node.operator === '=') return left === right
        if (node.operator === '!=') return left !== right
        if (node.operator === '<') return left < right
        if (node.operator === '<=') return left <= right
        return node.operator === '>' ? left > right : left >= right
      }
    }
  }
  const held = holds(test)
  return held && !cut
}
