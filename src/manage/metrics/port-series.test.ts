import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MetricsWriter } from './open-metrics.ts'
import { PortSeries, portMetrics } from './port-series.ts'

const names = portMetrics('vmswitch_port_connected', 'vmswitch_port_received_frames')

test('ports that come, go and change places have the lines that they would have if nothing were kept', () => {
  const port = fc.constantFrom('a', 'b', 'c"', 'd\\', 'é')
  const scrape = fc.uniqueArray(fc.tuple(port, fc.nat(3), fc.double({ min: 0, noNaN: true })), { selector: ([name]) => name })
  fc.assert(
    fc.property(fc.array(scrape, { maxLength: 8 }), (scrapes) => {
      const series = new PortSeries(names)
      for (const ports of scrapes) {
        const [kept, plain] = [new MetricsWriter(), new MetricsWriter()]
        series.begin()
        for (const [name, ...values] of ports) {
          series.port(name)
          for (const [i, value] of values.entries()) series.set(i, value)
        }
        series.end(kept)
        for (const [i, metric] of names.entries()) for (const [name, ...values] of ports) plain.sample(metric, [name], values[i]!)
        assert.equal(kept.text(), plain.text())
      }
    }),
    { numRuns: 200 },
  )
})

test('a metric with other labels is refused', () => {
  assert.throws(() => portMetrics('vmswitch_dropped_frames'), /other labels/)
})
