import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DROP_REASONS_MAX } from '../ndis/drop-reasons.ts'
import {
  Counters,
  countersBytes,
  LATENCY_BUCKETS,
  latencyBucketNs,
  latencyQuantileNs,
  PortCounter,
  ProcessorCounter,
} from './counters.ts'

const make = (): Counters => new Counters(new SharedArrayBuffer(countersBytes(4)), 0, 4)

test('counters of ports, reasons and the processor do not touch each other', () => {
  const counters = make()
  let value = 1
  for (let port = 0; port < 4; port++) {
    for (const counter of Object.values(PortCounter)) counters.port(port, counter, value++)
    for (let reason = 0; reason < DROP_REASONS_MAX; reason++) counters.drop(port, reason, value++)
  }
  for (const counter of Object.values(ProcessorCounter)) counters.processor(counter, value++)
  counters.latency(1000)
  value = 1
  for (let port = 0; port < 4; port++) {
    for (const counter of Object.values(PortCounter)) assert.equal(counters.readPort(port, counter), value++)
    for (let reason = 0; reason < DROP_REASONS_MAX; reason++) assert.equal(counters.readDrop(port, reason), value++)
  }
  for (const counter of Object.values(ProcessorCounter)) assert.equal(counters.readProcessor(counter), value++)
})

test('clearing a port leaves its neighbours', () => {
  const counters = make()
  for (let port = 0; port < 4; port++) {
    counters.port(port, PortCounter.sentFrames, 5)
    counters.drop(port, DROP_REASONS_MAX - 1, 6)
    counters.port(port, PortCounter.floodedFrames, 7)
  }
  counters.clearPort(2)
  assert.deepEqual(
    [0, 1, 2, 3].map((port) => counters.readPort(port, PortCounter.sentFrames)),
    [5, 5, 0, 5],
  )
  assert.deepEqual(
    [0, 1, 2, 3].map((port) => counters.readDrop(port, DROP_REASONS_MAX - 1)),
    [6, 6, 0, 6],
  )
  assert.deepEqual(
    [0, 1, 2, 3].map((port) => counters.readPort(port, PortCounter.floodedFrames)),
    [7, 7, 0, 7],
  )
})

test('every latency lands in the bucket whose bounds hold it, an eighth of a power of two wide', () => {
  for (const ns of [8, 9, 100, 1000, 1023, 1024, 1500, 65_535, 1e6, 123_456_789, 2_000_000_000]) {
    const counters = make()
    counters.latency(ns)
    const bucket = counters.readLatency().indexOf(1)
    assert.ok(latencyBucketNs(bucket) <= ns && ns < latencyBucketNs(bucket + 1), `${ns} ns in bucket ${bucket}`)
    assert.ok(latencyBucketNs(bucket + 1) <= latencyBucketNs(bucket) * 1.126)
  }
})

test('latencies of any size are counted somewhere', () => {
  const counters = make()
  for (const ns of [0, -5, 3, 1e12, Number.POSITIVE_INFINITY]) counters.latency(ns)
  assert.equal(
    counters.readLatency().reduce((sum, count) => sum + count, 0),
    5,
  )
})

test('quantiles are upper bounds of the bucket in which the fraction is reached', () => {
  const counters = make()
  for (let i = 0; i < 900; i++) counters.latency(1000)
  for (let i = 0; i < 99; i++) counters.latency(10_000)
  counters.latency(1_000_000)
  const histogram = counters.readLatency()
  const within = (ns: number, target: number): void => assert.ok(ns >= target && ns <= target * 1.13, `${ns} for ${target}`)
  within(latencyQuantileNs(histogram, 0.5), 1000)
  within(latencyQuantileNs(histogram, 0.99), 10_000)
  within(latencyQuantileNs(histogram, 1), 1_000_000)
  assert.equal(latencyQuantileNs(new Float64Array(LATENCY_BUCKETS), 0.5), 0)
})
