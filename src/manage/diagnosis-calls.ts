// The calls by which a running switch is looked into: captures. Part of SwitchHost; this file holds types only.

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

export interface DiagnosisCalls {
  /** Starts a capture. The one call whose answer is not JSON but a stream. */
  capture(request: CaptureRequest): Answer<RunningCapture>
}
