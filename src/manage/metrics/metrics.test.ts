import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { checkSource } from '../config/load.ts'
import { systemComponents } from '../config/resolve.ts'
import { startSwitch } from '../start-switch.ts'
import { collectMetrics } from './collect.ts'
import { type MetricName, metrics, sampleNames } from './definitions.ts'
import { acceptedFormat, type MetricsFormat, MetricsWriter } from './open-metrics.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-metrics-'))
after(() => rmSync(directory, { recursive: true }))
const contrib = (file: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../contrib/${file}`, import.meta.url)), 'utf8')

interface Sample {
  readonly family: string
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
  readonly value: number
}

/** A strict reader of OpenMetrics 1.0: throws where the text breaks a rule of it. */
function read(text: string): Sample[] {
  assert.ok(text.endsWith('# EOF\n'), 'it ends with # EOF')
  const samples: Sample[] = []
  const families = new Set<string>()
  const seen = new Set<string>()
  let family = ''
  let type = ''
  for (const line of text.slice(0, -'# EOF\n'.length).split('\n').slice(0, -1)) {
    const meta = /^# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line)
    if (meta) {
      const [, keyword, name, rest] = meta as unknown as [string, string, string, string]
      if (keyword === 'TYPE') {
        assert.ok(!families.has(name), `${name} stands together`)
        families.add(name)
        family = name
        type = rest
        assert.ok(['counter', 'gauge', 'histogram', 'info'].includes(type), line)
      }
      assert.equal(name, family, line)
      if (keyword === 'UNIT') assert.ok(family.endsWith(`_${rest}`), line)
      continue
    }
    const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
    assert.ok(match, `a sample: ${line}`)
    const [, name = '', inner = '', value = ''] = match
    const suffixes = { counter: ['_total'], gauge: [''], info: ['_info'], histogram: ['_bucket', '_count', '_sum'] }[type] ?? []
    assert.ok(
      suffixes.some((suffix) => name === family + suffix),
      `${name} is of ${family}, a ${type}`,
    )
    const labels = new Map<string, string>()
    const rest = inner.replace(
      /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,(?=.)|$)/g,
      (_, label: string, of: string) => {
        assert.ok(!labels.has(label), line)
        labels.set(label, of)
        return ''
      },
    )
    assert.equal(rest, '', `labels of ${line}`)
    assert.ok(Number.isFinite(Number(value)), line)
    if (type === 'counter' || type === 'histogram') assert.ok(Number(value) >= 0, line)
    assert.ok(!seen.has(`${name}{${inner}}`), `once: ${line}`)
    seen.add(`${name}{${inner}}`)
    samples.push({ family, name, labels, value: Number(value) })
  }
  return samples
}

const data = {
  switch: {
    name: 'metrics',
    type: 'external',
    processors: 2,
    extensions: [{ use: 'counters' }],
    ports: [
      { name: 'outside', endpoint: { kind: 'adapter', adapter: 'nic0' } },
      { name: 'a', mac: '52:54:00:00:00:01', link: 'down', endpoint: { kind: 'memory' } },
    ],
  },
  adapters: [{ name: 'nic0', vfs: 3 }],
  runtime: { directory },
}

async function scrape(): Promise<Record<MetricsFormat, string>> {
  const source = { file: 'x', lines: [], data, placeOfValue: () => null, placeOfKey: () => null }
  const started = await startSwitch(checkSource(source, '/etc/x.yaml', systemComponents()), {
    log: () => {},
    fatal: (error) => assert.fail(error),
  })
  try {
    const context = { version: '1.2.3', revision: 7 }
    return {
      openmetrics: await collectMetrics(started, context),
      prometheus: await collectMetrics(started, context, 'prometheus'),
    }
  } finally {
    await started.close()
  }
}
const scraped = scrape()

describe('GET /metrics', () => {
  test('is OpenMetrics text of what the switch has', async () => {
    const samples = read((await scraped).openmetrics)
    const value = (name: string, labels: Record<string, string>): number | undefined =>
      samples.find(
        (sample) => sample.name === name && Object.entries(labels).every(([label, of]) => sample.labels.get(label) === of),
      )?.value
    assert.equal(value('vmswitch_build_info', { version: '1.2.3', switch: 'metrics', type: 'external' }), 1)
    assert.equal(value('vmswitch_state_revision', {}), 7)
    assert.equal(value('vmswitch_port_link_up', { port: 'a' }), 0)
    assert.equal(value('vmswitch_port_received_frames_total', { port: 'a' }), 0)
    assert.equal(value('vmswitch_extension_up', { extension: 'counters', class: 'capturing' }), 1)
    assert.equal(value('vmswitch_adapter_vfs', { adapter: 'nic0' }), 3)
    assert.equal(value('vmswitch_processor_frames_total', { processor: '1' }), 0)
    assert.equal(
      value('vmswitch_burst_latency_seconds_bucket', { processor: '0', le: '+Inf' }),
      value('vmswitch_burst_latency_seconds_count', { processor: '0' }),
    )
  })

  test('has declared metrics only, with the labels that they are declared with', async () => {
    for (const { family, labels } of read((await scraped).openmetrics)) {
      const definition = metrics[family as MetricName]
      assert.ok(definition, family)
      assert.deepEqual(
        [...labels.keys()].filter((label) => label !== 'le'),
        definition.labels,
        family,
      )
    }
  })

  test('in the format of Prometheus is taken by promtool', async (t) => {
    const done = spawnSync('promtool', ['check', 'metrics'], { input: (await scraped).prometheus, encoding: 'utf8' })
    if (done.error) return t.skip('promtool is not installed (package prometheus): the reader of this test has checked the text')
    assert.equal(done.status, 0, done.stderr)
  })

  test('of a service without a switch tells the service', async () => {
    const samples = read(await collectMetrics(null, { version: '1.2.3', revision: 0 }))
    assert.deepEqual(
      samples.map(({ name }) => name),
      ['vmswitch_build_info', 'vmswitch_resident_memory_bytes', 'vmswitch_state_revision'],
    )
  })
})

test('label values are escaped, and buckets cumulate', () => {
  const writer = new MetricsWriter()
  writer.sample('vmswitch_port_connected', ['a"b\\c\nd'], 1)
  writer.histogram('vmswitch_burst_latency_seconds', ['0'], [0.5, 1], [1, 2, 3], 9)
  const samples = read(writer.text())
  assert.equal(samples[0]?.labels.get('port'), 'a\\"b\\\\c\\nd')
  assert.deepEqual(
    samples.slice(1).map(({ name, labels, value }) => `${name.slice(31)} ${labels.get('le') ?? ''} ${value}`),
    ['bucket 0.5 1', 'bucket 1.0 3', 'bucket +Inf 6', 'count  6', 'sum  9'],
  )
})

describe('dashboard and alert rules', () => {
  const known = new Set((Object.keys(metrics) as MetricName[]).flatMap(sampleNames))
  const check = (expressions: readonly string[]): void => {
    assert.ok(expressions.length > 5)
    for (const expression of expressions) {
      const names = expression.match(/vmswitch_\w+/g) ?? []
      assert.ok(names.length > 0, expression)
      for (const name of names) assert.ok(known.has(name), `${name} is no metric: ${expression}`)
    }
  }

  test('ask for metrics that exist', () => {
    const dashboard = JSON.parse(contrib('grafana/vmswitch.json')) as { panels: { targets: { expr: string }[] }[] }
    check(dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)))
    const rules = parse(contrib('prometheus/alerts.yaml')) as { groups: { rules: { alert: string; expr: string }[] }[] }
    check(rules.groups.flatMap((group) => group.rules.map(({ expr }) => expr)))
  })

  test('rules are taken by promtool', (t) => {
    const file = fileURLToPath(new URL('../../../contrib/prometheus/alerts.yaml', import.meta.url))
    const done = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' })
    if (done.error) return t.skip('promtool is not installed (package prometheus)')
    assert.equal(done.status, 0, done.stderr)
  })
})

test('OpenMetrics is what a client gets that does not ask for plain text', () => {
  assert.equal(acceptedFormat(undefined), 'openmetrics')
  assert.equal(acceptedFormat('application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2'), 'openmetrics')
  assert.equal(acceptedFormat('text/plain;version=0.0.4'), 'prometheus')
})
