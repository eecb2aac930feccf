// The overlay of a running switch, where it has one.
import type { OverlayControl } from '../../switch/overlay/overlay-control.ts'

const hasOverlay = (running: object): running is { overlay(): OverlayControl | null } =>
  'overlay' in running && typeof running.overlay === 'function'

/** Null: there is no switch, or it has no overlay. */
export const overlayOf = (running: object | undefined): OverlayControl | null =>
  running !== undefined && hasOverlay(running) ? running.overlay() : null
