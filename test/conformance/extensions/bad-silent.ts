// A filtering extension that leaves a request unanswered for ever.
import { defineExtension, Oid } from 'vmswitch/extension'

export default defineExtension({
  id: '5c5ed78c-4842-5e7d-9af8-fb6a48cd554b',
  name: 'bad-silent',
  version: '1.0.0',
  class: 'filtering',
  attach() {
    let asked = 0
    return {
      oid: ({ oid }) => (oid === Oid.nicConnect && ++asked === 1 ? new Promise<undefined>(() => {}) : undefined), // ES-249
    }
  },
})
