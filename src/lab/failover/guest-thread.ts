// The entry of the thread that all software guests of a failover lab run on: polls their cards, keeps the load up, obeys the lab's thread.
//
// The rule it must not break: while a request is under way the cards are polled and the load goes on.
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { parentPort } from 'node:worker_threads'
import { LabError } from '../errors.ts'
import type { FromGuests, LoadOutcome, ToGuests } from './guest-messages.ts'
import { NumberedStream, Path } from './numbered-frames.ts'
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
/** Which way the switch sends frames for a real guest. */
let remotePath: Path = Path.synthetic

const answer = (message: FromGuests): void => port.postMessage(message)

function find(name: string) {
  const found = guests.get(name)
  if (found === undefined) throw new LabError('check-failed', `there is no guest "${name}"`)
  return found
}

function startLoad({ guest: name, peer: peerName, options, remote }: Extract<ToGuests, { kind: 'load' }>): void {
  const peer = find(peerName)
  const senders: Sender[] = []
  const add = (stream: NumberedStream, from: PairedGuest, to: PairedGuest): void => {
    senders.push({ guest: from, stream })
    to.streams.push(stream)
  }
  const { tcp, tcpMbps, udpPps } = options
  const [there, back] = [`${peerName} → ${name}`, `${name} → ${peerName}`]
  if (udpPps > 0 && remote !== undefined) {
    const trip = { name: `${peerName} ⇄ ${name}`, id: 0, protocol: 'echo', path: () => remotePath } as const
    add(new NumberedStream(trip, peer.options, remote), peer.guest, peer.guest)
  } else if (udpPps > 0) {
    const own = find(name)
    const inward = { name: there, id: 0, protocol: 'udp', path: 'receiver' } as const
    add(new NumberedStream(inward, peer.options, own.options), peer.guest, own.guest)
    const outward = { name: back, id: 1, protocol: 'udp', path: 'sender' } as const
    add(new NumberedStream(outward, own.options, peer.options), own.guest, peer.guest)
  }
  const { address } = remote ?? find(name).options
  load = {
    senders,
    intervalMs: udpPps > 0 ? 1000 / udpPps : 0,
    tcp: tcp ? new TcpStream(peer.guest.host, address, tcpMbps) : null,
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
      return startLoad(request)
    case 'path':
      remotePath = request.path
      return null
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
