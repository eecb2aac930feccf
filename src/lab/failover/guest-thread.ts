// The entry of the thread that all software guests of a failover lab run on: polls their cards, keeps the load up, obeys the lab's thread.
//
// The rule it must not break: while a request is under way the cards are polled and the load goes on.
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { parentPort } from 'node:worker_threads'
import { LabError } from '../errors.ts'
import type { FromGuests, LoadOptions, LoadOutcome, ToGuests } from './guest-messages.ts'
import { NumberedStream } from './numbered-frames.ts'
import { PairedGuest, type PairedGuestOptions } from './paired-guest.ts'
import { TcpStream } from './tcp-stream.ts'

/** How long frames may be on their way after the last was sent. */
const SETTLE_MS = 250
/** Frames that are sent at once at the most: a late turn of the loop is not made up for by a burst that fills rings. */
const BURST_MAX = 32
/** Between two looks while there is no load. */
const IDLE_MS = 1

interface Sender {
  readonly guest: PairedGuest
  readonly stream: NumberedStream
}

interface Load {
  readonly senders: readonly Sender[]
  readonly intervalMs: number
  readonly tcp: TcpStream | null
  dueAtMs: number
  isSending: boolean
}

const port = parentPort!
const guests = new Map<string, { guest: PairedGuest; options: PairedGuestOptions }>()
let load: Load | null = null
let isOpen = true

const answer = (message: FromGuests): void => port.postMessage(message)

function find(name: string) {
  const found = guests.get(name)
  if (found === undefined) throw new LabError('check-failed', `there is no guest "${name}"`)
  return found
}

function startLoad(name: string, peerName: string, { tcp, tcpMbps, udpPps }: LoadOptions): void {
  const one = find(name)
  const other = find(peerName)
  const senders: Sender[] = []
  if (udpPps > 0) {
    const inward = new NumberedStream(
      { name: `${peerName} → ${name}`, id: 0, receiverHasPaths: true },
      other.options,
      one.options,
    )
    const outward = new NumberedStream(
      { name: `${name} → ${peerName}`, id: 1, receiverHasPaths: false },
      one.options,
      other.options,
    )
    senders.push({ guest: other.guest, stream: inward }, { guest: one.guest, stream: outward })
    one.guest.streams.push(inward)
    other.guest.streams.push(outward)
  }
  load = {
    senders,
    intervalMs: udpPps > 0 ? 1000 / udpPps : 0,
    tcp: tcp ? new TcpStream(other.guest.host, one.options.address, tcpMbps) : null,
    dueAtMs: performance.now(),
    isSending: true,
  }
}

function sendDue({ senders, intervalMs, tcp, ...rest }: Load): number {
  tcp?.pump()
  if (intervalMs === 0) return rest.dueAtMs
  const nowMs = performance.now()
  let dueAtMs = rest.dueAtMs
  for (let burst = 0; dueAtMs <= nowMs && burst < BURST_MAX; burst++, dueAtMs += intervalMs)
    for (const { guest, stream } of senders) guest.send(stream)
  return Math.max(dueAtMs, nowMs - BURST_MAX * intervalMs)
}

async function finish(): Promise<LoadOutcome> {
  const { senders = [], tcp = null } = load ?? {}
  if (load !== null) load.isSending = false
  const outcome = (await tcp?.finish()) ?? null
  for (const end = performance.now() + SETTLE_MS; performance.now() < end; ) await immediate()
  return {
    streams: senders.map(({ stream }) => stream.record()),
    tcp: outcome,
    timeOrigin: performance.timeOrigin,
    tornOut: Object.fromEntries([...guests].map(([name, { guest }]) => [name, guest.tornOut])),
  }
}

async function carryOut(request: ToGuests): Promise<unknown> {
  switch (request.kind) {
    case 'start':
      guests.set(request.guest.name, { guest: await PairedGuest.start(request.guest, request.path), options: request.guest })
      return null
    case 'plug':
      return find(request.guest).guest.plug(request.path)
    case 'unplug':
      return find(request.guest).guest.unplug()
    case 'load':
      return startLoad(request.guest, request.peer, request.options)
    case 'finish':
      return finish()
    case 'close':
      isOpen = false
      return null
  }
}

port.on('message', (request: ToGuests) => {
  carryOut(request).then(
    (value) => answer({ id: request.id, value }),
    (error: Error & { code?: string }) =>
      answer({ id: request.id, error: { code: error.code ?? 'internal', message: error.message } }),
  )
})

/** Returns whether there was anything to do. */
function turn(): boolean {
  if (load?.isSending) load.dueAtMs = sendDue(load)
  let frames = 0
  for (const { guest } of guests.values()) frames += guest.poll()
  return frames > 0 || load?.isSending === true
}

while (isOpen) await (turn() ? immediate() : sleep(IDLE_MS))
for (const { guest } of guests.values()) guest.close()
port.close()
