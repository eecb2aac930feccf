// A filtering extension that changes requests, completes those that it must forward, and leaves some unanswered.
import { defineExtension, NdisStatus, Oid } from 'vmswitch/extension'

export default defineExtension({
  id: 'dc1fb54b-b43d-5286-b4e9-e5baa87d45a4',
  name: 'bad-oids',
  version: '1.0.0',
  class: 'filtering',
  attach: () => ({
    oid({ oid, payload }) {
      if (oid === Oid.portCreate) return { status: NdisStatus.success } // ES-114
      if (oid === Oid.nicCreate) {
        ;(payload as { nicFriendlyName: string }).nicFriendlyName = 'mine' // ES-170
        return undefined
      }
      if (oid === Oid.nicConnect) return { status: NdisStatus.failure } // ES-188
      if (oid === Oid.nicDisconnect) (payload as { nicFriendlyName: string }).nicFriendlyName = 'mine' // ES-198
      if (oid === Oid.portTeardown) (payload as { portFriendlyName: string }).portFriendlyName = 'mine' // ES-128
      if (oid === Oid.portTeardown) return 'perhaps' as 'forward' // ES-249
      return undefined
    },
  }),
})
