// The addresses that the switch knows behind a port.
import { useEffect, useState } from 'preact/hooks'
import type { FdbEntry } from '../../../src/manage/host.ts'
import { call } from '../state/api.ts'

const PERIOD_MS = 3000
const SHOWN_MAX = 50

export function PortAddresses({ name }: { readonly name: string }) {
  const [entries, setEntries] = useState<readonly FdbEntry[]>([])
  useEffect(() => {
    const look = (): void => {
      call<FdbEntry[]>('GET', `/v1/fdb?port=${encodeURIComponent(name)}`).then(setEntries, () => setEntries([]))
    }
    look()
    const timer = setInterval(look, PERIOD_MS)
    return () => clearInterval(timer)
  }, [name])
  return (
    <>
      <h3>Addresses behind it</h3>
      {entries.length === 0 && <p class="empty">None is known yet.</p>}
      <ul class="addresses">
        {entries.slice(0, SHOWN_MAX).map(({ mac, vlan, kind, ageSeconds }) => (
          <li key={`${mac} ${vlan}`}>
            <code>{mac}</code>
            <span>{vlan === 0 ? 'no VLAN' : `VLAN ${vlan}`}</span>
            <span>{kind === 'static' ? 'static' : `seen ${ageSeconds} s ago`}</span>
          </li>
        ))}
      </ul>
      {entries.length > SHOWN_MAX && <p class="hint">and {entries.length - SHOWN_MAX} more, see Addresses below</p>}
    </>
  )
}
