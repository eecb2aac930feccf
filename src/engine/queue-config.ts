// What a running switch tells of the receive queues of its adapters in VMQ mode: the contract between the engine and the management layer
// above. Types only.
//
// The rule it must not break: everything here survives JSON.

/** Whether an adapter shares itself by virtual functions or by receive queues: never both (SR-129). */
export type AdapterMode = 'sriov' | 'vmq'

/** What an adapter in VMQ mode has besides what all have. */
export interface QueueModeConfig {
  /** VM queues, the default queue not counted. */
  readonly queues: number
  /** The first processor that serves queues, and the default queue (Set-NetAdapterVmq -BaseProcessorNumber). */
  readonly baseProcessor: number
  /** Processors that serve queues, from the first on; all that there are without it (-MaxProcessors). */
  readonly maxProcessors?: number | undefined
  /** Seconds between two looks at the load, after which a queue may change its processor; 0: none does by itself. */
  readonly rebalanceSeconds: number
}

/** VmqWeight of a port that says nothing. */
export const VMQ_WEIGHT_DEFAULT = 100

export interface QueueFilterStatus {
  readonly id: number
  readonly mac: string
  /** null: whatever the VLAN is. */
  readonly vlan: number | 'untagged' | null
}

export interface QueueCounters {
  /** Frames and bytes that came for the queue. */
  readonly receivedFrames: number
  readonly receivedBytes: number
  /** Frames that another processor took from the wire and left in the queue's memory. */
  readonly handedOver: number
  readonly dropped: number
}

/** A port that the default queue serves, though it has an address, and why. */
export interface PortWithoutQueue {
  readonly port: string
  readonly reason: string
}

/** A receive queue. */
export interface QueueStatus {
  readonly adapter: string
  /** 0: the default queue. */
  readonly queue: number
  /** null: the default queue, which belongs to none. */
  readonly port: string | null
  readonly vm: string | null
  readonly weight: number | null
  readonly state: 'undefined' | 'running' | 'paused' | 'dma-stopped'
  readonly processor: number
  /** An operator chose the processor: the load does not change it. */
  readonly pinned: boolean
  readonly filter: QueueFilterStatus | null
  /**
   * kernel: its frames come on the ring that its processor polls; one-ring: there is only one; software: they come on any ring, and
   * whoever takes them looks their queue up.
   */
  readonly steering: 'kernel' | 'one-ring' | 'software'
  /** Why it is software; else null. */
  readonly steeringReason: string | null
  readonly counters: QueueCounters
  readonly drops: Readonly<Record<string, number>>
  /** Of the default queue: the ports that have to share it. */
  readonly serves: readonly PortWithoutQueue[]
}

/** The queues of a running switch. Errors carry a `code`: NO_SUCH_PORT, NO_QUEUE (the port has none), NO_SUCH_PROCESSOR. */
export interface SwitchQueues {
  list(): readonly QueueStatus[]
  /** Has another processor serve a port's queue, and the port; null: as the load has it. No frame is lost or overtaken. */
  setProcessor(port: string, processor: number | null): Promise<QueueStatus>
}
