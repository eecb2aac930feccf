// An extension that keeps its processor at work for a while with every packet, so that a few frames make it busy.
import { defineExtension } from '../../src/extension.ts'

/** How long each packet takes. */
export const BURN_MS = 0.2

export default defineExtension({
  id: '5f1c0f0a-62b0-4d0e-9c86-9d5a3b0b7c11',
  name: 'burning',
  version: '1.0.0',
  class: 'filtering',
  attach: () => ({
    ingress(batch) {
      for (const end = performance.now() + batch.length * BURN_MS; performance.now() < end; );
    },
  }),
})
