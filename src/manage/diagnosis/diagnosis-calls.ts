// The calls by which a running switch is looked into: captures, last drops, traces. Part of SwitchHost; this file holds types only.

type Answer<T> = T | Promise<T>

export interface CaptureRequest {
  /** Names of the ports to capture at; left out: all. */
  readonly ports?: readonly string[] | undefined
  /** In the words of tcpdump. */
  readonly filter?: string | undefined
  /** Bytes kept of each frame. */
  readonly snapBytes?: number | undefined
  /** inbound: frames that enter the switch; outbound: those that it delivers. */
  readonly direction?: 'inbound' | 'outbound' | 'both' | undefined
  /** Whether dropped frames are recorded once more, with reason and place. */
  readonly dropped?: boolean | undefined
}

export interface CaptureSummary {
  readonly records: number
  readonly bytes: number
  /** Records lost because the reader was behind. */
  readonly lost: number
}

/** A capture that runs. It ends with `stop`, and when its chunks are not read any more. */
export interface RunningCapture {
  /** Name under which it stands among the extensions. */
  readonly id: string
  /** pcapng, as it comes. */
  readonly chunks: AsyncIterable<Uint8Array>
  stop(): Promise<CaptureSummary>
}

/** A dropped frame that was kept. */
export interface DropRecord {
  /** ISO 8601 in UTC, to the nanosecond. */
  readonly time: string
  /** Where it is counted: the port that it came from, or one that it did not get to. */
  readonly port: string
  readonly direction: 'inbound' | 'outbound'
  /** The port that it came from. */
  readonly sourcePort: string
  readonly reason: string
  /** Extension that dropped it; null: the switch itself. */
  readonly extension: string | null
  /** Entry or rule of an ACL that dropped it; null: another policy, or none. */
  readonly rule: string | null
  readonly processor: number
  /** Counts up on its processor, from 0. */
  readonly number: number
  /** As in captures; null where no frame is known. */
  readonly packetId: number | null
  /** Bytes of the frame; null where no frame is known. */
  readonly length: number | null
  /** The frame in words. */
  readonly summary: string
  /** Its first bytes, in hexadecimal. */
  readonly header: string
  /** 802.1Q tag that travelled beside it; null: none. */
  readonly tag: number | null
  /** Frames that this record stands for. */
  readonly frames: number
  /** More of this port and reason just before, which were counted and not kept. */
  readonly unkept: number
}

export interface LastDropsFilter {
  /** As source or destination. */
  readonly port?: string | undefined
  /** A reason, or an entry or rule of an ACL. */
  readonly reason?: string | undefined
  /** Name of the extension that dropped. */
  readonly extension?: string | undefined
  readonly direction?: 'inbound' | 'outbound' | undefined
  /** Not before this moment, ISO 8601. */
  readonly since?: string | undefined
  /** At most so many, the newest; default 20. */
  readonly last?: number | undefined
}

export interface LastDropsReport {
  /** Frames dropped since the switch started, by reason, as counted beside the counters of ports. */
  readonly counted: Readonly<Record<string, number>>
  /** What those reasons mean that are the switch's own. */
  readonly meanings: Readonly<Record<string, string>>
  /** Records that are kept now, whatever was asked for. */
  readonly kept: number
  /** Oldest first. */
  readonly drops: readonly DropRecord[]
}

/** A frame to follow from `port` on; 14 to 65 562 bytes, in hexadecimal. */
export interface TraceRequest {
  readonly port: string
  readonly frame: string
}

/** One stage that a frame passes. */
export interface TraceStep {
  readonly stage: 'arrival' | 'ingress' | 'overlay' | 'forwarding' | 'mirroring' | 'egress' | 'delivery' | 'learning'
  /** Extension that did it; null: the switch itself. */
  readonly extension: string | null
  /** 1: the frame itself; others were made by extensions on the way. */
  readonly packet: number
  readonly text: string
  /** What decided so, in words: the value of the frame, and what the port may. */
  readonly why?: string
  /** Entry or rule of a policy that it met. */
  readonly rule?: string
  /** Reason of a drop. */
  readonly dropped?: string
  /** Port that it would be delivered to, or that a drop would be counted at. */
  readonly port?: string
}

/** A tunnel that the frame would leave by. */
export interface TraceTunnel {
  /** As in the steps. */
  readonly packet: number
  /** The uplink's. */
  readonly port: string
  /** Provider address that it leads to. */
  readonly provider: string
  /** Host of the network with this address; null: none is known. */
  readonly host: string | null
  /** The frame with the tunnel's headers, in hexadecimal. */
  readonly frame: string
}

export interface TraceReport {
  readonly port: string
  /** The frame in words. */
  readonly summary: string
  readonly steps: readonly TraceStep[]
  /** Ports that it, or what extensions made of it, would be delivered to. */
  readonly delivered: readonly string[]
  readonly tunnels: readonly TraceTunnel[]
}

export interface ConnectionsFilter {
  readonly port: string
  /** `next` of the page before. */
  readonly after?: string | undefined
  /** At most so many, up to 1000; default 100. */
  readonly limit?: number | undefined
}

/** A connection that stateful rules follow, from its port's point of view. */
export interface ConnectionStatus {
  /** IP protocol: 6 TCP, 17 UDP …. */
  readonly protocol: number
  readonly isolationId: number
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly state: string
  /** Who sent the first packet: the port (outbound), or the remote side. */
  readonly opened: 'outbound' | 'inbound'
  readonly idleSeconds: number
  /** Until it is forgotten, if nothing comes. */
  readonly expiresInSeconds: number
  readonly sent: { readonly packets: number; readonly bytes: number }
  readonly received: { readonly packets: number; readonly bytes: number }
}

/** A page of connections: one that is followed all the time comes exactly once. */
export interface ConnectionsReport {
  readonly items: readonly ConnectionStatus[]
  /** Asks for the page that follows (`after`); null: this is the last. */
  readonly next: string | null
}

export interface DiagnosisCalls {
  /** Connections that the stateful rules of a port follow, a page of them. */
  connections(filter: ConnectionsFilter): Answer<ConnectionsReport>
  /** What would become of a frame that came in at a port now. Nothing is sent, counted or learned. */
  trace(request: TraceRequest): Answer<TraceReport>
  /** The last drops with their frames. */
  lastDrops(filter: LastDropsFilter): Answer<LastDropsReport>
  /** Starts a capture. The one call whose answer is not JSON but a stream. */
  capture(request: CaptureRequest): Answer<RunningCapture>
}
