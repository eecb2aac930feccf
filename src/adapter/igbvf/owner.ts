// What a virtual function asks of whoever owns it: the adapter's physical function, or an endpoint's configuration.
//
// The rule it must not break: the owner decides, the function carries out; nothing that a guest asks for takes effect unasked.

/** Why a function was reset. */
export type ResetCause =
  /** The driver wrote CTRL.RST. */
  | 'driver'
  /** A function-level reset through configuration space. */
  | 'function-level'
  /** The VMM reset the machine, or the client went. */
  | 'device'
  /** The physical function asked (OID_SRIOV_RESET_VF). */
  | 'owner'

/** The backchannel of the function: configuration blocks of up to 128 bytes, carried by the mailbox. */
export interface VfBlocks {
  /** The block's first `length` bytes, or undefined: failure (SR-287). */
  read(blockId: number, length: number): Promise<Uint8Array | undefined>
  /** False: failure. */
  write(blockId: number, data: Uint8Array): Promise<boolean>
  /** Settles with the mask of blocks that changed, or with 0n when the wait ended without one. */
  invalidated(): Promise<bigint>
  /** Ends a wait: what comes later stays pending. */
  endWait(): void
}

export interface VfOwner {
  /** The address that the driver is given at its reset: six octets, or null: the guest makes one up. */
  readonly mac: Uint8Array | null
  readonly linkUp: boolean
  /** Longest frame that the guest may ask to receive, frame check sequence included. */
  readonly maxFrameBytes: number
  /** May the guest receive for, and send from, this unicast address? */
  allowsMac(mac: Uint8Array): boolean
  /** May the guest receive this VLAN (0…4095)? */
  allowsVlan(vlan: number): boolean
  /** May the guest receive what is not addressed to it? */
  readonly trusted: boolean
  /** The function was reset: its rings are empty, its filters are gone. */
  wasReset(cause: ResetCause): void
  /** The guest's address, filters or modes changed; `filters` describes them. */
  filtersChanged(filters: VfFilterState): void
  /** Configuration blocks; without them the guest is refused. */
  readonly blocks?: VfBlocks | undefined
  /** The guest switched its rings on or off: frames can be exchanged when both are on. */
  activity(active: boolean): void
}

/** What the guest has asked for and got. */
export interface VfFilterState {
  /** Unicast addresses, the function's own first; lower case, with colons. */
  readonly addresses: readonly string[]
  readonly vlans: readonly number[]
  readonly multicastHashes: number
  readonly promiscuous: { readonly unicast: boolean; readonly multicast: boolean }
  readonly maxFrameBytes: number
}
