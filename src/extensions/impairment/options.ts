// The options of impairment: rules, each for some ports in one direction, with the settings of a line or a schedule of them. The same
// settings are the value of the property `impairment` of a port.
//
// The rule it must not break: what could not be done is refused here, with what would be right, not ignored later.
import { compileFilter, OptionError, OptionReader } from '../../extension.ts'
import { profileNames, profileOf } from './profiles.ts'
import { type Distribution, distributions } from './random.ts'
import { readPercent, readRate, readTime } from './units.ts'

export const DELAY_MS_MAX = 600_000
const DURATION_MS_MAX = 86_400_000
const RATE_MIN = 1000
const RATE_MAX = 1e12
export const LIMIT_MAX = 7936
const LIMIT_DEFAULT = 7936
export const LIMIT_BYTES_MAX = 1 << 30
export const BURST_MAX = 1 << 24
const SEED_MAX = 0xffffffff
const PHASES_MAX = 64
export const RULES_MAX = 64

export type LineDirection = 'ingress' | 'egress'

/** What a line does to frames; probabilities and correlations are from 0 to 1, times in milliseconds. */
export interface LineSettings {
  readonly up: boolean
  readonly delay: number
  readonly jitter: number
  readonly delayCorrelation: number
  readonly distribution: Distribution
  readonly keepOrder: boolean
  readonly loss: number
  readonly lossCorrelation: number
  /** Gilbert-Elliott: to the bad state, back, and the loss in either; undefined = random loss only. */
  readonly gemodel: { readonly p: number; readonly r: number; readonly badLoss: number; readonly goodLoss: number } | undefined
  readonly duplicate: number
  readonly duplicateCorrelation: number
  readonly corrupt: number
  readonly corruptCorrelation: number
  readonly reorder: number
  readonly reorderCorrelation: number
  readonly gap: number
  /** Bits per second; 0 = as fast as they come. */
  readonly rate: number
  /** Bytes that may go at once after a pause. */
  readonly burst: number
}

export interface LinePhase {
  readonly durationMs: number
  readonly settings: LineSettings
}

/** What is configured for the lines of a rule. */
export interface LinePlan {
  readonly direction: LineDirection
  /** In tcpdump's words; undefined = all frames. */
  readonly match: string | undefined
  /** Frames and bytes that the line holds at the most. */
  readonly limit: number
  readonly limitBytes: number
  readonly phases: readonly LinePhase[]
  /** Whether the phases begin again; else the last one stays. */
  readonly repeat: boolean
}

export interface ImpairmentRule extends LinePlan {
  /** Names of ports; undefined = all. */
  readonly ports: readonly string[] | undefined
}

export interface ImpairmentOptions {
  /** undefined = another one each time. */
  readonly seed: number | undefined
  readonly rules: readonly ImpairmentRule[]
}

function readGemodel(reader: OptionReader): LineSettings['gemodel'] {
  const raw = reader.value('gemodel')
  if (raw === undefined) return undefined
  const inner = new OptionReader(raw, reader.path('gemodel'))
  const p = readPercent(inner, 'p')
  if (p === undefined) throw inner.error('p', 'is missing: write the percentage of frames after which losses begin')
  const r = readPercent(inner, 'r') ?? 1 - p
  const badLoss = readPercent(inner, '1-h') ?? 1
  const goodLoss = readPercent(inner, '1-k') ?? 0
  inner.done()
  return { p, r, badLoss, goodLoss }
}

function readSettings(reader: OptionReader, direction: LineDirection): LineSettings {
  const state = reader.choice('state', ['up', 'down'])
  const name = reader.choice('profile', profileNames)
  const profile = name === undefined ? { delay: 0, rate: 0 } : profileOf(name, direction)
  const reorder = readPercent(reader, 'reorder') ?? 0
  const settings: LineSettings = {
    up: state !== 'down',
    delay: readTime(reader, 'delay', DELAY_MS_MAX) ?? profile.delay,
    jitter: readTime(reader, 'jitter', DELAY_MS_MAX / 10) ?? 0,
    delayCorrelation: readPercent(reader, 'delayCorrelation') ?? 0,
    distribution: reader.choice('distribution', distributions) ?? 'uniform',
    keepOrder: reader.boolean('keepOrder') ?? false,
    loss: readPercent(reader, 'loss') ?? 0,
    lossCorrelation: readPercent(reader, 'lossCorrelation') ?? 0,
    gemodel: readGemodel(reader),
    duplicate: readPercent(reader, 'duplicate') ?? 0,
    duplicateCorrelation: readPercent(reader, 'duplicateCorrelation') ?? 0,
    corrupt: readPercent(reader, 'corrupt') ?? 0,
    corruptCorrelation: readPercent(reader, 'corruptCorrelation') ?? 0,
    reorder,
    reorderCorrelation: readPercent(reader, 'reorderCorrelation') ?? 0,
    gap: reader.integer('gap', 0, 1_000_000) ?? (reorder > 0 ? 1 : 0),
    rate: readRate(reader, 'rate', RATE_MIN, RATE_MAX) ?? profile.rate,
    burst: reader.integer('burst', 0, BURST_MAX) ?? 0,
  }
  if (settings.corrupt > 0 && direction === 'egress')
    throw reader.error(
      'corrupt',
      'bytes are changed on ingress only (ES-347): use it in a rule for ingress of the ports that send',
    )
  if (settings.gemodel && settings.loss > 0) throw reader.error('gemodel', 'is given together with loss: choose one of them')
  if (settings.reorder > 0 && settings.delay === 0)
    throw reader.error('reorder', 'needs a delay: frames that are not delayed overtake those that are')
  if (settings.jitter > 0 && settings.delay === 0) throw reader.error('jitter', 'needs a delay that it is the jitter of')
  if (settings.burst > 0 && settings.rate === 0) throw reader.error('burst', 'needs a rate')
  return settings
}

function readFilter(reader: OptionReader): string | undefined {
  const match = reader.text('match')
  if (match === undefined) return undefined
  try {
    compileFilter(match)
  } catch (error) {
    throw reader.error('match', (error as Error).message)
  }
  return match
}

function readPhases(reader: OptionReader, direction: LineDirection): LinePhase[] {
  const steps = reader.list('schedule', (raw, path) => {
    const inner = new OptionReader(raw, path)
    const durationMs = readTime(inner, 'duration', DURATION_MS_MAX, 1)
    if (durationMs === undefined) throw inner.error('duration', 'is missing: write how long the step lasts, for example 30s')
    const settings = readSettings(inner, direction)
    inner.done()
    return { durationMs, settings }
  })
  if (steps === undefined) return [{ durationMs: Number.POSITIVE_INFINITY, settings: readSettings(reader, direction) }]
  if (steps.length === 0 || steps.length > PHASES_MAX)
    throw reader.error('schedule', `has ${steps.length} steps: write 1 to ${PHASES_MAX}`)
  return steps
}

// The settings of a rule stand beside it or in the steps of its schedule, not both: `done` refuses what was not asked for.
function readPlan(reader: OptionReader, direction: LineDirection): LinePlan {
  return {
    direction,
    match: readFilter(reader),
    limit: reader.integer('limit', 1, LIMIT_MAX) ?? LIMIT_DEFAULT,
    limitBytes: reader.integer('limitBytes', 1, LIMIT_BYTES_MAX) ?? LIMIT_BYTES_MAX,
    phases: readPhases(reader, direction),
    repeat: reader.boolean('repeat') ?? true,
  }
}

function directionsOf(reader: OptionReader): readonly LineDirection[] {
  const chosen =
    reader.choice('direction', ['ingress', 'egress', 'both']) ?? (reader.value('profile') === undefined ? 'egress' : 'both')
  return chosen === 'both' ? ['ingress', 'egress'] : [chosen]
}

/** Checks the configured options. */
export function parseImpairmentOptions(raw: unknown): ImpairmentOptions {
  const reader = new OptionReader(raw)
  const seed = reader.integer('seed', 0, SEED_MAX)
  const rules = reader.list('rules', (value, path) => {
    const inner = new OptionReader(value, path)
    const ports = inner.names('ports')
    const plans = directionsOf(inner).map((direction) => ({ ports, ...readPlan(inner, direction) }))
    inner.done()
    return plans
  })
  reader.done()
  const all = rules?.flat() ?? []
  if (all.length > RULES_MAX)
    throw new OptionError('rules', `are ${all.length} (one for both directions counts twice): write at most ${RULES_MAX}`)
  return { seed, rules: all }
}

/** Checks a value of the property `impairment`: one rule without ports, or a list of them. */
export function parseImpairmentProperty(raw: unknown): readonly LinePlan[] {
  const list = Array.isArray(raw) ? raw : [raw]
  const plans = list.flatMap((value: unknown, i) => {
    const inner = new OptionReader(value, list.length === 1 ? '' : `[${i}]`)
    const read = directionsOf(inner).map((direction) => readPlan(inner, direction))
    inner.done()
    return read
  })
  if (plans.length > RULES_MAX) throw new OptionError('', `has ${plans.length} rules: write at most ${RULES_MAX}`)
  return plans
}
