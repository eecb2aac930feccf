// The rules and scenarios of the specifications as data, and which of them a test's name carries.
//
// The rule it must not break: a number that the inventory does not have is never passed over: it is an error of whoever wrote it.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const FOLDER = 'test/conformance/rules'
/** Groups of rules in the order in which they are reported. */
export const GROUPS = ['ES', 'SR', 'VQ', 'PD']
/** Groups of scenarios, and the tag that a test's name carries for scenario nn. */
export const SCENARIOS = { ES: 'CS-nn', SR: 'SR-CS-nn' }

const RANGE = /\b(ES|SR|VQ|PD)-(\d+)\s*(?:to|–|…)\s*(?:\1-)?(\d+)\b/g
const RULE = /\b(?:ES|SR|VQ|PD)-\d+\b/g
const SCENARIO = /\b(?:SR-)?CS-\d+\b/g

/** Selects the tests that carry a rule or scenario; for `--test-name-pattern`. */
export const TAGGED = /\b(?:ES|SR|VQ|PD)-\d|\bCS-\d/

const widths = { ES: 3, SR: 3, VQ: 3, PD: 2 }

/** Rules and scenarios that a text names: "ES-043, ES-044", "ES-300 to ES-305", "CS-13". */
export function tagsIn(text) {
  const found = new Set()
  for (const [, group, from, to] of text.matchAll(RANGE))
    for (let n = Number(from); n <= Number(to); n++) found.add(`${group}-${String(n).padStart(widths[group], '0')}`)
  for (const [id] of text.matchAll(RULE)) found.add(id)
  for (const [id] of text.matchAll(SCENARIO)) found.add(id)
  return [...found].sort()
}

const rows = (root, file) =>
  readFileSync(join(root, FOLDER, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('# '))

/** The inventory: rules by number with section, subject and text; scenarios by number with group; reasons of rules not applicable. */
export function readInventory(root) {
  const rules = new Map()
  for (const file of ['extensible-switch.tsv', 'sriov-vmq.tsv']) {
    let section = ''
    for (const line of rows(root, file)) {
      if (line.startsWith('## ')) {
        section = line.slice(3)
        continue
      }
      const [id, subject, text] = line.split('\t')
      if (rules.has(id) || text === undefined) throw new Error(`${FOLDER}/${file}: bad or second line of rule ${id}`)
      rules.set(id, { id, group: id.slice(0, 2), section, subject, text })
    }
  }
  const scenarios = new Map()
  for (const [group, file] of [
    ['ES', 'scenarios-es.tsv'],
    ['SR', 'scenarios-sr.tsv'],
  ])
    for (const line of rows(root, file)) {
      const [id, title, of] = line.split('\t')
      scenarios.set(id, { id, group, title, rules: of.split(', ') })
    }
  const notApplicable = new Map()
  for (const line of rows(root, 'not-applicable.tsv')) {
    const [id, reason] = line.split('\t')
    if (!rules.has(id) || !reason) throw new Error(`${FOLDER}/not-applicable.tsv: ${id} is no rule, or has no reason`)
    notApplicable.set(id, reason)
  }
  return { rules, scenarios, notApplicable }
}

/** Test files whose text carries a rule or scenario, relative to `root`. */
export function taggedFiles(root, patterns) {
  const files = patterns.flatMap((pattern) => globSync(pattern, { cwd: root }))
  return files.filter((file) => TAGGED.test(readFileSync(join(root, file), 'utf8'))).sort()
}

/** What the tagged tests of a run come to. */
export class Conformance {
  #inventory
  #passed = new Map()
  #failed = new Map()
  #unknown = new Map()

  constructor(inventory) {
    this.#inventory = inventory
  }

  /** Counts a test by its name: 'pass', 'fail' or 'skip'. */
  test(name, outcome) {
    for (const id of tagsIn(name)) {
      if (!this.#inventory.rules.has(id) && !this.#inventory.scenarios.has(id)) this.#unknown.set(id, name)
      else if (outcome === 'pass') this.#passed.set(id, name)
      else if (outcome === 'fail') this.#failed.set(id, name)
    }
  }

  /** Numbers that test names carry and the inventory does not have: [number, test]. */
  get unknown() {
    return [...this.#unknown].sort()
  }

  /** Rules and scenarios of failed tests: [number, test]. */
  get failed() {
    return [...this.#failed].sort()
  }

  #proved(id) {
    return this.#passed.has(id) && !this.#failed.has(id)
  }

  /** 'proved', 'not applicable' or 'open'. What a test proves is proved, even if it was thought to have no meaning. */
  stateOf(id) {
    if (this.#proved(id)) return 'proved'
    return this.#inventory.notApplicable.has(id) && !this.#failed.has(id) ? 'not applicable' : 'open'
  }

  /** Rules that are listed as not applicable and that tests prove all the same. */
  get contradictions() {
    return [...this.#inventory.notApplicable.keys()].filter((id) => this.#proved(id))
  }

  /** Scenarios of a group without a passing test. */
  untested(group) {
    return [...this.#inventory.scenarios.values()].filter((one) => one.group === group && !this.#proved(one.id))
  }

  /** The result as `--json` prints it. */
  summary() {
    const rules = {}
    for (const group of GROUPS) {
      const ids = [...this.#inventory.rules.values()].filter((rule) => rule.group === group).map((rule) => rule.id)
      const count = (state) => ids.filter((id) => this.stateOf(id) === state).length
      rules[group] = {
        total: ids.length,
        proved: count('proved'),
        notApplicable: count('not applicable'),
        open: ids.filter((id) => this.stateOf(id) === 'open'),
      }
    }
    const scenarios = {}
    for (const group of Object.keys(SCENARIOS)) {
      const total = [...this.#inventory.scenarios.values()].filter((one) => one.group === group).length
      scenarios[group] = { total, tested: total - this.untested(group).length }
    }
    return { rules, scenarios, failed: this.failed.map(([id]) => id) }
  }

  /** Lines for a person: each section with what is open in it. */
  report() {
    const sections = new Map()
    for (const rule of this.#inventory.rules.values()) {
      const title = rule.group === 'ES' ? rule.section : `${rule.group} ${rule.section}`
      sections.set(title, [...(sections.get(title) ?? []), rule])
    }
    const lines = []
    for (const [section, rules] of sections) {
      const of = (state) => rules.filter((rule) => this.stateOf(rule.id) === state)
      const [proved, out, open] = [of('proved'), of('not applicable'), of('open')]
      lines.push(
        `${section}: ${proved.length} of ${rules.length} proved${out.length === 0 ? '' : `, ${out.length} not applicable`}${open.length === 0 ? '' : `, ${open.length} open`}`,
      )
      if (open.length > 0 && proved.length > 0) for (const rule of open) lines.push(`  ${rule.id} ${rule.text}`)
    }
    lines.push('')
    const { rules, scenarios } = this.summary()
    for (const [group, { total, proved, notApplicable, open }] of Object.entries(rules))
      lines.push(`${group}: ${proved} of ${total} rules proved, ${notApplicable} not applicable, ${open.length} open`)
    for (const [group, { total, tested }] of Object.entries(scenarios)) {
      const missing = this.untested(group)
      lines.push(`${group} scenarios: ${tested} of ${total} tested`)
      if (tested > 0) for (const one of missing) lines.push(`  ${one.id} ${one.title}`)
    }
    return lines
  }
}

const BEGIN = '<!-- not applicable: written by npm run conformance -- --write-docs -->'
const END = '<!-- end -->'

/** `text` of docs/conformance.md with the list of rules that do not apply brought up to date. */
export function withNotApplicable(text, { rules, notApplicable }) {
  const lines = [...notApplicable].map(([id, reason]) => `| ${id} | ${rules.get(id).text} | ${reason} |`)
  const table = ['| Rule | What it asks | Why it has no meaning here |', '|---|---|---|', ...lines].join('\n')
  const from = text.indexOf(BEGIN)
  const to = text.indexOf(END, from)
  if (from < 0 || to < 0) throw new Error(`docs/conformance.md has no lines "${BEGIN}" and "${END}"`)
  return `${text.slice(0, from + BEGIN.length)}\n\n${table}\n\n${text.slice(to)}`
}
