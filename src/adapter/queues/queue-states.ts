// The states of a VM queue (spec 3.9), as data: which event is valid in which state, and what comes of it.
//
// The rule it must not break: a pair that the table lacks is refused and changes nothing (SR-CS-68).
import { OperationalState } from './queue-words.ts'

export type QueueState = 'undefined' | 'allocated' | 'set' | 'running' | 'paused' | 'dma-stopped' | 'freeing'

export type QueueEvent =
  | 'allocate'
  | 'parameters'
  | 'set-filter'
  | 'clear-last-filter'
  | 'clear-filter'
  | 'enum-filters'
  | 'read-filter'
  | 'allocation-complete'
  | 'free'
  | 'stop-indicated'
  | 'resources-freed'

// VQ-055 to VQ-064, VQ-068, VQ-069
const transitions: Readonly<Record<QueueEvent, Partial<Record<QueueState, QueueState>>>> = {
  allocate: { undefined: 'allocated' },
  parameters: { allocated: 'allocated', set: 'set', running: 'running', paused: 'paused' },
  'set-filter': { allocated: 'set', set: 'set', running: 'running', paused: 'running' },
  'clear-last-filter': { set: 'allocated', running: 'paused' },
  'clear-filter': { set: 'set', running: 'running' },
  'enum-filters': { allocated: 'allocated', set: 'set', running: 'running', paused: 'paused' },
  'read-filter': { set: 'set', running: 'running' },
  'allocation-complete': { allocated: 'paused', set: 'running' },
  free: { allocated: 'dma-stopped', paused: 'dma-stopped' },
  'stop-indicated': { 'dma-stopped': 'freeing' },
  'resources-freed': { freeing: 'undefined' },
}

/** The state after `event`, or undefined if the event is invalid in `state`. */
export const stateAfter = (state: QueueState, event: QueueEvent): QueueState | undefined => transitions[event][state]

/** True once ALLOCATION_COMPLETE has succeeded: filters of the queue count from then on (PD-19). */
export const isComplete = (state: QueueState): boolean => state === 'running' || state === 'paused'

/** What is reported of a state: the enumeration knows fewer (PD-18). */
export function operationalState(state: QueueState): OperationalState {
  switch (state) {
    case 'undefined':
      return OperationalState.undefined
    case 'running':
      return OperationalState.running
    case 'allocated':
    case 'set':
    case 'paused':
      return OperationalState.paused
    case 'dma-stopped':
    case 'freeing':
      return OperationalState.dmaStopped
  }
}
