// Captures frames to a pcapng file: what enters the switch, what it delivers, and what is dropped with the reason.
//
// The rule it must not break: it is a capturing extension, so it looks and changes nothing; a reader that falls behind loses
// records, never frames.
import { defineExtension, type ExtensionHandlers, Oid, PacketDirection, type PortParameters } from '../../extension.ts'
import { type CaptureOptions, parseCaptureOptions } from './options.ts'
import { Recorder } from './recorder.ts'

export { CaptureCounter } from './recorder.ts'

export default defineExtension<CaptureOptions>({
  id: '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a01',
  name: 'capture',
  version: '1.0.0',
  class: 'capturing',
  description: 'Writes frames to a pcapng file',
  counters: ['captured-records', 'captured-bytes', 'lost-records'],
  parseOptions: parseCaptureOptions,
  sinks: ({ file, bufferBytes, rotateBytes, rotateFiles }) => [
    { name: 'packets', path: file, bufferBytes, rotateBytes, rotateFiles },
  ],
  attach(sw, options) {
    const recorder = new Recorder(sw, options)
    const handlers: ExtensionHandlers = {
      oidComplete({ oid, payload }) {
        if (oid === Oid.portDelete) recorder.forget((payload as PortParameters).portId)
      },
    }
    if (options.direction !== 'outbound')
      handlers.ingress = (batch) => {
        recorder.begin()
        for (let i = 0; i < batch.length; i++) {
          if (!recorder.wants(batch, i)) continue
          recorder.record(batch, i, recorder.load(batch, i), batch.sourcePortId(i), PacketDirection.inbound)
        }
      }
    if (options.direction !== 'inbound')
      handlers.egress = (batch) => {
        recorder.begin()
        for (let i = 0; i < batch.length; i++) {
          if (!recorder.wants(batch, i)) continue
          const kept = recorder.load(batch, i)
          const destinations = batch.destinationCount(i)
          for (let k = 0; k < destinations; k++)
            if (!batch.isExcluded(i, k)) recorder.record(batch, i, kept, batch.destinationPortId(i, k), PacketDirection.outbound)
        }
      }
    if (options.dropped)
      handlers.filtered = (batch, reason, places) => {
        recorder.begin()
        for (let i = 0; i < batch.length; i++) {
          if (!recorder.wants(batch, i)) continue
          recorder.recordDrop(batch, i, recorder.load(batch, i), reason(i), places)
        }
      }
    return handlers
  },
})
