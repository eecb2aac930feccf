// The network of hosts that the service is in: asked for when the page opens, and while somebody looks at it.
//
// The rule it must not break: a large network is asked for less often; one question at a time, and none while nobody looks at the page.
import type { NetworkStatus } from '../../../src/manage/cluster/cluster-calls.ts'
import type { Page } from '../../../src/manage/control/pages.ts'
import type { OverlayRecord } from '../../../src/manage/overlay/overlay-calls.ts'
import { call } from './api.ts'
import { current, update } from './store.ts'

const PERIOD_MS = 5000
/** Of the time, the share that questions may take. */
const SHARE = 0.1
const RECORDS_MAX = 10_000

/** Whether this service can be in a network; others are not asked. */
let networked: boolean | null = null

/** Asks for the network; a switch that is no service is in none. With `records`, for the overlay's too. */
export async function lookAtNetwork(records: boolean): Promise<void> {
  if (current().locked !== null) return
  networked ??= await call<{ network: boolean }>('GET', '/v1/access').then(
    (access) => access.network,
    () => null,
  )
  const network = networked !== true ? null : await call<NetworkStatus>('GET', '/v1/network').catch(() => null)
  if (!records || current().view?.overlay == null) return update({ network })
  const page = await call<Page<OverlayRecord>>('GET', `/v1/overlay/records?limit=${RECORDS_MAX}`).catch(() => null)
  update({ network, records: page?.items ?? current().records })
}

/** Asks over and over; what it returns ends that. */
export function watchNetwork(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let ended = false
  const look = async (): Promise<void> => {
    const began = performance.now()
    if (document.visibilityState === 'visible') await lookAtNetwork(true)
    if (!ended) timer = setTimeout(look, Math.max(PERIOD_MS, (performance.now() - began) / SHARE))
  }
  void look()
  return () => {
    ended = true
    clearTimeout(timer)
  }
}
