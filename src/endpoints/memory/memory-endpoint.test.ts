import { DataHalf } from '../../../test/support/data-half.ts'
import { endpointCompliance } from '../compliance.ts'
import { MemoryEndpoint } from './memory-endpoint.ts'

endpointCompliance('memory', {
  half: () => new DataHalf(),
  create: (components) => new MemoryEndpoint({ port: 7 }, components),
  connect(control) {
    const peer = control.peer()
    return {
      send: (frame) => peer.send(frame),
      receive: () => peer.receive(),
      vanish: () => peer.close(),
    }
  },
  refusals: [
    {
      title: 'a ring of an odd size',
      says: /power of two/,
      create: (components) => new MemoryEndpoint({ port: 7, ringBytes: 300_000 }, components),
    },
  ],
})
