// Opens the data half that belongs to a plan: the one place where a processor learns which kinds of endpoints there are.
import { openDatagramQueue } from './dgram/datagram-queue.ts'
import type { EndpointKind, EndpointQueue, QueueContext, QueuePlan } from './endpoint.ts'
import { openMemoryQueue } from './memory/memory-queue.ts'
import { openPacketQueue } from './packet/packet-queue.ts'
import { openStreamQueue } from './stream/stream-queue.ts'
import { openTapQueue } from './tap/tap-queue.ts'
import { openVfQueue } from './vf/queue.ts'
import { openVhostUserQueue } from './vhost-user/queue.ts'
import { openXdpQueue } from './xdp/xdp-queue.ts'

type OpenQueue = (plan: QueuePlan, context: QueueContext) => EndpointQueue

const openers: Record<EndpointKind, OpenQueue> = {
  'vhost-user': openVhostUserQueue,
  tap: openTapQueue,
  stream: openStreamQueue,
  dgram: openDatagramQueue,
  'unix-dgram': openDatagramQueue,
  websocket: openStreamQueue,
  memory: openMemoryQueue,
  packet: openPacketQueue,
  xdp: openXdpQueue,
  pcap: openMemoryQueue,
  vf: openVfQueue,
  adapter: () => {
    throw new Error('an SR-IOV adapter has no queue of its own: its processor joins it with the switch')
  },
}

/** The data half of one queue pair, in the calling processor's thread. */
export const openQueue = (plan: QueuePlan, context: QueueContext): EndpointQueue => openers[plan.kind](plan, context)
