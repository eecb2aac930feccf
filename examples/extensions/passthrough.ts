// Passes everything on and counts what it saw: every entry point that an extension may have, with what is due in it. The one to copy
// for a filtering extension.
import { type Batch, defineExtension, NdisStatus, Oid, type SwitchParameters } from 'vmswitch/extension'

const Counter = {
  ingress: 0,
  egress: 1,
  sendComplete: 2,
  returned: 3,
  filtered: 4,
  requests: 5,
  vetoedBelow: 6,
  indications: 7,
} as const

export default defineExtension({
  id: '5d1f0a3e-6b0c-4f57-8a54-3c1b7e9d2f10',
  name: 'passthrough',
  version: '1.0.0',
  class: 'filtering',
  description: 'Passes everything on',
  counters: Object.keys(Counter),
  attach(sw) {
    // Sends nothing and asks nothing: a module that is attaching may not (ES-053).
    const { counters } = sw
    const count = (which: number, by = 1): void => {
      counters[which] = counters[which]! + by
    }
    const passes =
      (which: number) =>
      (batch: Batch): void =>
        count(which, batch.length) // what is left in the batch goes on
    return {
      ingress: passes(Counter.ingress),
      egress: passes(Counter.egress),
      sendComplete: passes(Counter.sendComplete),
      returned: passes(Counter.returned),
      filtered: passes(Counter.filtered),
      oid() {
        count(Counter.requests)
        return 'forward' // ES-249
      },
      // A creation that a module below refused: whoever keeps a record of ports undoes it here (ES-116).
      oidComplete(_request, { status }) {
        if (status !== NdisStatus.success) count(Counter.vetoedBelow)
      },
      status() {
        count(Counter.indications)
        return undefined // passed on unchanged (ES-285)
      },
      activate: () => sw.log('the switch is active'),
      // The first restart is the place for queries; OID_SWITCH_PARAMETERS comes first (ES-073).
      async restart() {
        const { output } = await sw.query(Oid.switchParameters)
        sw.log(`running on "${(output as SwitchParameters).switchName}"`)
      },
      pause: () => {}, // nothing is held, so nothing is given back (ES-056)
      detach: () => sw.log('detached'),
    }
  },
})
