// What adapters in VMQ mode, ports and the switch must have in common. adapter-checks.ts has what is about SR-IOV.
//
// The rule it must not break: an adapter has virtual functions or receive queues, never both (SR-129).
import type { Path, Report } from './checks.ts'
import type { ResolvedAdapter, ResolvedConfig, ResolvedPort } from './types.ts'

const ofQueues = ['queues', 'baseProcessor', 'maxProcessors', 'rebalanceSeconds'] as const

const isVmq = ({ mode }: ResolvedAdapter): boolean => mode === 'vmq'

export function checkQueues(config: ResolvedConfig, report: Report): void {
  const adapters = config.adapters ?? []
  for (const [index, adapter] of adapters.entries()) checkMode(adapter, ['adapters', index], config.switch.processors, report)
  const below = adapters.find(({ name }) =>
    config.switch.ports.some(({ endpoint }) => endpoint.kind === 'adapter' && endpoint.adapter === name),
  )
  for (const [index, port] of config.switch.ports.entries()) {
    checkPort(port, ['switch', 'ports', index], below, report)
    checkPairs(port, ['switch', 'ports', index], report)
  }
}

// Frames are spread over what the endpoint has.
function checkPairs({ name, endpoint, vmmqEnabled, vmmqQueuePairs }: ResolvedPort, path: Path, report: Report): void {
  const key = vmmqQueuePairs === undefined ? 'vmmqEnabled' : 'vmmqQueuePairs'
  if (vmmqQueuePairs === undefined && vmmqEnabled === undefined) return
  const has = endpoint.kind === 'vhost-user' ? endpoint.queuePairs : endpoint.kind === 'tap' ? endpoint.queues : 0
  if (has === 0)
    report(
      'wrong-endpoint',
      [...path, key],
      `port "${name}" has no queue pairs to spread frames over: only guests on vhost-user and tap have`,
      'use another endpoint, or remove it',
    )
  else if (vmmqQueuePairs !== undefined && vmmqQueuePairs > has)
    report(
      'too-many-queue-pairs',
      [...path, key],
      `port "${name}" can use ${has} queue ${has === 1 ? 'pair' : 'pairs'}, not ${vmmqQueuePairs}`,
      `set ${endpoint.kind === 'tap' ? 'queues' : 'queuePairs'} of its endpoint, or less here`,
    )
}

function checkMode(adapter: ResolvedAdapter, path: Path, processors: number, report: Report): void {
  const { name, vfs, baseProcessor = 0 } = adapter
  if (!isVmq(adapter)) {
    for (const key of ofQueues)
      if (adapter[key] !== undefined)
        report(
          'wrong-mode',
          [...path, key],
          `the adapter "${name}" is in mode sriov and has no queues`,
          'set mode: vmq, or remove it',
        )
    return
  }
  if (vfs > 0)
    report(
      'wrong-mode',
      [...path, 'vfs'],
      `the adapter "${name}" is in mode vmq and has no virtual functions`,
      'remove vfs, or mode',
    )
  if (baseProcessor >= processors)
    report(
      'no-such-processor',
      [...path, 'baseProcessor'],
      `the switch has processors 0 to ${processors - 1}, and no ${baseProcessor}`,
      'choose one of those, or set processors at the switch',
    )
}

function checkPort(
  { name, mac, vmqWeight, iov }: ResolvedPort,
  path: Path,
  below: ResolvedAdapter | undefined,
  report: Report,
): void {
  const hasQueues = below !== undefined && isVmq(below)
  if (hasQueues && iov !== undefined && iov.weight > 0)
    report(
      'wrong-mode',
      [...path, 'iov'],
      `the adapter "${below.name}" is in mode vmq and has no virtual functions to give`,
      'remove iov, or mode at the adapter',
    )
  if (vmqWeight === undefined || vmqWeight === 0) return
  const at: Path = [...path, 'vmqWeight']
  if (!hasQueues)
    report(
      'needs-adapter',
      at,
      'the switch has no adapter to take queues from',
      'connect it to an adapter of mode: vmq, or remove vmqWeight',
    )
  else if (mac === null) report('missing', at, `a queue is chosen by address, and port "${name}" has none`, 'set mac at the port')
}
