// Makes a function of a filter's tests, so that a frame is judged without walking a tree.
//
// The rule it must not break: it says of every frame what `evaluate` says (filter.test.ts), and allocates nothing per frame.
import { evaluate, type Relation, type Test, type Value } from './nodes.ts'

/** True if a frame matches: `kept` of its `length` bytes stand at `offset` of `bytes`. Allocates nothing. */
export type FrameMatcher = (bytes: Uint8Array, offset: number, kept: number, length: number) => boolean

const relations: Readonly<Record<Relation, string>> = { '=': '===', '!=': '!==', '<': '<', '<=': '<=', '>': '>', '>=': '>=' }

function valueCode(value: Value): string {
  switch (value.kind) {
    case 'number':
      return String(value.value)
    case 'length':
      return 'l'
    case 'load':
      return `u${value.bytes}(${valueCode(value.at)})`
    case 'arithmetic': {
      const left = valueCode(value.left)
      const right = valueCode(value.right)
      if (value.operator === '*') return `(Math.imul(${left}, ${right}) >>> 0)`
      if (value.operator === '/') return `divide(${left}, ${right})`
      if (value.operator === '%') return `rest(${left}, ${right})`
      if (value.operator === '<<') return `left(${left}, ${right})`
      if (value.operator === '>>') return `right(${left}, ${right})`
      return `((${left} ${value.operator} ${right}) >>> 0)`
    }
  }
}

function testCode(test: Test): string {
  if (test.kind === 'constant') return String(test.value)
  if (test.kind === 'compare') return `${valueCode(test.left)} ${relations[test.operator]} ${valueCode(test.right)}`
  if (test.kind === 'not') return `!(${testCode(test.test)})`
  return `(${testCode(test.left)} ${test.kind === 'and' ? '&&' : '||'} ${testCode(test.right)})`
}

const frame = (condition: string): string => `'use strict'
let b, o = 0, n = 0, l = 0, cut = false
const u1 = (k) => { if (k + 1 > n) { cut = true; return 0 } return b[o + k] }
const u2 = (k) => { if (k + 2 > n) { cut = true; return 0 } return (b[o + k] << 8) | b[o + k + 1] }
const u4 = (k) => {
  if (k + 4 > n) { cut = true; return 0 }
  return ((b[o + k] << 24) | (b[o + k + 1] << 16) | (b[o + k + 2] << 8) | b[o + k + 3]) >>> 0
}
const divide = (x, y) => { if (y === 0) { cut = true; return 0 } return Math.trunc(x / y) }
const rest = (x, y) => { if (y === 0) { cut = true; return 0 } return x % y }
const left = (x, y) => (y < 32 ? (x << y) >>> 0 : 0)
const right = (x, y) => (y < 32 ? x >>> y : 0)
return (bytes, offset, kept, length) => {
  b = bytes; o = offset; n = kept; l = length; cut = false
  const held = ${condition}
  return held && !cut
}`

/** The function; where code generation is forbidden, one that walks the tree. */
export function generateMatcher(test: Test): FrameMatcher {
  try {
    return new Function(frame(testCode(test)))() as FrameMatcher
  } catch {
    return (bytes, offset, kept, length) => evaluate(test, bytes, offset, kept, length)
  }
}
