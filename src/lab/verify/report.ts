// What a verification found, gathered from what the switch reported of the extension under test.

/** A breach of the contract. */
export interface FoundBreach {
  /** ES-nnn */
  readonly rule: string
  /** Driver Verifier's code, A001…A00E, or ''. */
  readonly code: string
  readonly what: string
  /** Entry point, packet and OID of the first time. */
  readonly details: string
  /** How often, at least: repeated ones are reported at 1, 10, 100 … */
  readonly count: number
  /** Step of the run in which it was first seen. */
  readonly step: number
}

/** Something that went wrong in the extension's code: it threw, or it did not return; or what took long. */
export interface FoundFault {
  readonly code: string
  readonly message: string
  readonly count: number
  readonly step: number
}

/** Code of the fault of an extension that does not return. */
export const STUCK = 'stuck'

// What the switch says of a batch that took long (`switch/module-faults.ts`).
const SLOW = 'extension-slow'

export interface VerifyReport {
  readonly file: string
  readonly extension: { readonly name: string; readonly version: string; readonly class: string }
  readonly seed: number
  readonly steps: number
  readonly frames: number
  readonly seconds: number
  readonly passed: boolean
  readonly breaches: readonly FoundBreach[]
  readonly faults: readonly FoundFault[]
  /** Batches that took long. They are told and don't fail the run: a machine that has other work makes any extension slow. */
  readonly slow: readonly FoundFault[]
}

const BREACH = /^(ES-\d{3})(?: \((A0[0-9A-F]{2})\))?: (.*?)(?: \[([^\]]*)\])?$/s

/** Collects what is reported of one extension. */
export class Findings {
  readonly #breaches = new Map<string, FoundBreach>()
  readonly #faults = new Map<string, FoundFault>()
  step = 0

  /** Takes one report of the switch about the extension. */
  add(code: string, message: string): void {
    const breach = BREACH.exec(message)
    if (breach === null) this.#addFault(code, message)
    else this.#addBreach(breach)
  }

  #addBreach([, rule = '', code = '', what = '', details = '']: RegExpExecArray): void {
    const count = Number(/(\d+) times/.exec(details)?.[1] ?? 1)
    const key = `${rule} ${what}`
    const known = this.#breaches.get(key)
    this.#breaches.set(
      key,
      known ? { ...known, count: Math.max(known.count, count) } : { rule, code, what, details, count, step: this.step },
    )
  }

  #addFault(code: string, message: string): void {
    const key = `${code} ${message}`
    const known = this.#faults.get(key)
    this.#faults.set(key, known ? { ...known, count: known.count + 1 } : { code, message, count: 1, step: this.step })
  }

  get breaches(): FoundBreach[] {
    return [...this.#breaches.values()].sort((a, b) => (a.rule < b.rule ? -1 : a.rule > b.rule ? 1 : 0))
  }

  get faults(): FoundFault[] {
    return [...this.#faults.values()].filter(({ code }) => code !== SLOW)
  }

  get slow(): FoundFault[] {
    return [...this.#faults.values()].filter(({ code }) => code === SLOW)
  }
}

const times = (count: number): string => (count === 1 ? '' : `, ${count} times or more`)

/** The report for a person. */
export function describeReport(report: VerifyReport): string[] {
  const { file, extension, seed, steps, frames, seconds, breaches, faults, slow } = report
  const lines = [
    `${file}: ${extension.name} ${extension.version}, ${extension.class}: ${steps} steps, ${frames} frames in ${seconds.toFixed(1)} s, seed ${seed}`,
  ]
  for (const { rule, code, what, details, count, step } of breaches)
    lines.push(
      `  ${rule}${code === '' ? '' : ` (${code})`}: ${what}`,
      `      first in step ${step}${details === '' ? '' : `: ${details}`}${times(count)}`,
    )
  for (const { code, message, count, step } of [...faults, ...slow])
    lines.push(`  ${code}: ${message}`, `      first in step ${step}${times(count)}`)
  if (report.passed) lines.push('passed: no breach of the contract was found')
  else {
    const rules = new Set(breaches.map(({ rule }) => rule))
    lines.push(
      `FAILED: ${rules.size} rules broken, ${faults.length} faults; docs/extensions.md says what is right`,
      `again: vmswitch verify ${file} --seed ${seed} --steps ${steps}`,
    )
  }
  return lines
}
