// Which numbered steps of a trace happen where in the house.
import type { TraceReport, TraceStep } from '../../../src/manage/diagnosis/diagnosis-calls.ts'

export type Place = { readonly port: string } | { readonly extension: string } | { readonly stage: TraceStep['stage'] }

function isAt(step: TraceStep, trace: TraceReport, place: Place): boolean {
  if ('extension' in place) return step.extension === place.extension
  if ('stage' in place) return step.extension === null && step.stage === place.stage
  return step.stage === 'delivery' ? step.port === place.port : step.stage === 'arrival' && trace.port === place.port
}

/** Numbers of the steps at a place, from 1. */
export const stepsAt = (trace: TraceReport | null, place: Place): readonly number[] =>
  trace === null ? [] : trace.steps.flatMap((step, index) => (isAt(step, trace, place) ? [index + 1] : []))
