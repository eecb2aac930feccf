// What a test run comes to: counts over all groups, the failures and the skipped tests by name.

/** As many of the files that took longest are listed. */
const SLOWEST = 20

/** Gathers the events of node:test's `run` and reports them at the end. */
export class Tally {
  #counts = { tests: 0, suites: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0 }
  #failures = []
  #skips = []
  #secondTries = []
  #times = []

  /** A file took so long. */
  took(file, seconds) {
    this.#times.push({ file, seconds })
  }

  passes({ name, skip }, group, file) {
    if (skip === undefined || skip === false) return
    this.#skips.push({ name, group, file, reason: typeof skip === 'string' && skip !== '' ? skip : 'no reason given' })
  }

  fails({ name, details, todo }, group, file) {
    // A suite fails with its tests; the tests say why.
    if (details?.type === 'suite' || (todo !== undefined && todo !== false)) return
    this.#failures.push({ name, group, file })
  }

  /** Adds what another tally holds. */
  add(other) {
    this.counts(other.#counts)
    this.#failures.push(...other.#failures)
    this.#skips.push(...other.#skips)
    this.#secondTries.push(...other.#secondTries)
    this.#times.push(...other.#times)
  }

  /** Adds a file's second try, which stands for both; what failed in the first is told at the end all the same. */
  addSecondTry(first, second) {
    this.add(second)
    if (!second.failed) this.#secondTries.push(...first.#failures)
  }

  /** Adds the counts of one group's summary. */
  counts(counts) {
    for (const key of Object.keys(this.#counts)) this.#counts[key] += counts[key] ?? 0
  }

  /** Whether anything failed, or nothing ran at all. */
  get failed() {
    return this.#counts.failed + this.#counts.cancelled > 0 || this.#failures.length > 0 || this.#counts.tests === 0
  }

  /** The closing lines. `seconds` is the time of the whole run. */
  report(seconds) {
    const { tests, suites, passed, failed, cancelled, skipped, todo } = this.#counts
    const lines = ['']
    if (this.#times.length > 1) {
      lines.push('Slowest files (seconds):')
      const slowest = this.#times.toSorted((one, other) => other.seconds - one.seconds).slice(0, SLOWEST)
      for (const { file, seconds } of slowest) lines.push(`  ${seconds.toFixed(1).padStart(5)} ${file}`)
      lines.push('')
    }
    if (this.#skips.length > 0) {
      lines.push('Skipped:')
      for (const { name, file, reason } of this.#skips) lines.push(`  ${name} (${file}): ${reason}`)
      lines.push('')
    }
    if (this.#secondTries.length > 0) {
      lines.push('Failed at first and passed when their file ran again (each is a defect, of the test or of what it tests):')
      for (const { name, file, group } of this.#secondTries) lines.push(`  ${name} (${file || group})`)
      lines.push('')
    }
    if (this.#failures.length > 0) {
      lines.push('Failed:')
      for (const { name, file, group } of this.#failures) lines.push(`  ${name} (${file || group})`)
      lines.push('')
    }
    if (tests === 0) lines.push('test: no tests ran', '')
    lines.push(
      `ℹ tests ${tests}`,
      `ℹ suites ${suites}`,
      `ℹ pass ${passed}`,
      `ℹ fail ${failed}`,
      `ℹ cancelled ${cancelled}`,
      `ℹ skipped ${skipped}`,
      `ℹ todo ${todo}`,
      `ℹ duration_ms ${(seconds * 1000).toFixed(0)}`,
      `total time ${Math.floor(seconds / 60)} min ${(seconds % 60).toFixed(1)} s`,
      `${passed} passed, ${failed + cancelled} failed, ${skipped} skipped`,
    )
    return lines
  }
}
