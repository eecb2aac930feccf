import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ControlError } from '../control/control-errors.ts'
import type { OverlayStatus } from '../overlay/overlay-calls.ts'
import type { TraceReport, TraceRequest, TraceTunnel } from './diagnosis-calls.ts'
import { FOLLOWED_HOSTS_MAX, FOLLOWED_TUNNELS_MAX, followTrace, type ReachedHost } from './follow.ts'

const tunnel = (provider: string, more: Partial<TraceTunnel> = {}): TraceTunnel => ({
  packet: 1,
  port: 'wire',
  provider,
  host: null,
  frame: '020000000099025000000001080045',
  ...more,
})

const report = (delivered: readonly string[], tunnels: readonly TraceTunnel[] = []): TraceReport => ({
  port: 'wire',
  summary: '',
  steps: [],
  delivered,
  tunnels,
})

/** A host with an uplink; `asked` notes what it was asked. */
function one(name: string, answer: TraceReport, asked: TraceRequest[] = [], overlay: Partial<OverlayStatus> = {}): ReachedHost {
  const status = { uplink: `${name}-wire`, providerMac: '02:50:00:00:00:02', ...overlay } as OverlayStatus
  const host = {
    overlay: async () => status,
    trace: async (request: TraceRequest) => {
      asked.push(request)
      return answer
    },
  }
  return { name, connect: async () => host }
}
const other = (...of: Parameters<typeof one>): ReachedHost[] => [one(...of)]

test('the packet of a tunnel is traced at the uplink of the other host, addressed as it arrives there', async () => {
  const asked: TraceRequest[] = []
  const [way] = await followTrace(report([], [tunnel('192.0.2.2')]), async () => other('two', report(['db']), asked))
  assert.deepEqual(asked, [{ port: 'two-wire', frame: '025000000002025000000001080045' }])
  assert.deepEqual([way!.host, way!.report?.delivered, way!.problem, way!.followed], ['two', ['db'], null, []])
})

test('a packet for a group keeps its address', async () => {
  const asked: TraceRequest[] = []
  const frame = '01005e000001025000000001080045'
  await followTrace(report([], [tunnel('239.0.0.1', { frame })]), async () => other('two', report([]), asked))
  assert.equal(asked[0]!.frame, frame)
})

test('a host that can not be asked says why, and the other tunnels are followed all the same', async () => {
  const tunnels = [tunnel('192.0.2.2', { host: 'two' }), tunnel('192.0.2.3', { packet: 2 }), tunnel('192.0.2.4', { packet: 3 })]
  const ways = await followTrace(report([], tunnels), async ({ provider }) => {
    if (provider === '192.0.2.2') throw new ControlError('role-needed', 'an operator may')
    return other('x', report(['db']), [], provider === '192.0.2.3' ? { uplink: null } : {})
  })
  assert.deepEqual(
    ways.map(({ packet, host, report: of, problem }) => [packet, host, of?.delivered ?? null, problem?.code ?? null]),
    [
      [1, 'two', null, 'role-needed'],
      [2, 'x', null, 'no-uplink'],
      [3, 'x', ['db'], null],
    ],
  )
})

test('a frame that goes from host to host, and one with many tunnels, end somewhere', async () => {
  let asked = 0
  const round = async (): Promise<ReachedHost[]> => {
    asked++
    return other('again', report([], [tunnel('192.0.2.2')]))
  }
  let [way] = await followTrace(report([], [tunnel('192.0.2.2')]), round)
  for (let host = 0; host < FOLLOWED_HOSTS_MAX; host++) way = way!.followed[0]
  assert.equal(way!.problem?.code, 'too-many-hosts')
  assert.equal(asked, FOLLOWED_HOSTS_MAX)
  const many = Array.from({ length: FOLLOWED_TUNNELS_MAX + 2 }, (_, i) => tunnel('192.0.2.2', { packet: i + 1 }))
  const ways = await followTrace(report([], many), async () => other('two', report(['db'])))
  assert.equal(ways.filter(({ problem }) => problem === null).length, FOLLOWED_TUNNELS_MAX)
  assert.equal(ways.at(-1)!.problem?.code, 'too-many-tunnels')
})

test('of a group every host is asked, one that can not be asked says why, and all of them count as tunnels', async () => {
  const gone: ReachedHost = {
    name: 'gone',
    connect: async () => {
      throw new ControlError('no-switch', 'nobody answers')
    },
  }
  const group = tunnel('239.0.0.1', { frame: '01005e000001025000000001080045' })
  const members = [one('two', report(['db'])), gone, one('three', report(['web']))]
  const ways = await followTrace(report([], [group, tunnel('192.0.2.9', { packet: 2 })]), async ({ provider }) =>
    provider === '192.0.2.9' ? other('nine', report(['mail'])) : members,
  )
  assert.deepEqual(
    ways.map(({ packet, host, report: of, problem }) => [packet, host, of?.delivered ?? null, problem?.code ?? null]),
    [
      [1, 'two', ['db'], null],
      [1, 'gone', null, 'no-switch'],
      [1, 'three', ['web'], null],
      [2, 'nine', ['mail'], null],
    ],
  )
  const many = Array.from({ length: FOLLOWED_TUNNELS_MAX + 2 }, () => one('two', report(['db'])))
  const bounded = await followTrace(report([], [group]), async () => many)
  assert.deepEqual([bounded.length, bounded.at(-1)!.problem?.code], [FOLLOWED_TUNNELS_MAX + 1, 'too-many-tunnels'])
})
