// How long the control side waits for extensions, so that one that is stuck does not hold the switch up for ever.

export interface ControlLimits {
  /** Milliseconds that a module may keep an OID request before the switch goes on without it. */
  readonly oidMs: number
  /** Milliseconds that NIC_DELETE and PORT_DELETE wait for references and packets that modules keep. */
  readonly drainMs: number
  /** Milliseconds that a module may take to pause or restart. */
  readonly pauseMs: number
  /** How often a create is issued that an extension fails with NDIS_STATUS_RESOURCES (AMB-42). */
  readonly createAttempts: number
  /** Milliseconds between two of these attempts. */
  readonly retryMs: number
}

export const DEFAULT_CONTROL_LIMITS: ControlLimits = {
  oidMs: 10_000,
  drainMs: 10_000,
  pauseMs: 5_000,
  createAttempts: 3,
  retryMs: 20,
}

/** Calls `callback` after `ms`; the returned function prevents it. Passed in, so that tests have their own time. */
export type After = (ms: number, callback: () => void) => () => void
