// Overlays over a connection: the control API's routes as calls.
import type { ControlCall } from '../control/control-client.ts'
import type { RemoteSwitchHost } from '../host.ts'
import type { OverlayCalls, RecordFilter, RouteFilter } from './overlay-calls.ts'

const queryOf = (filter: RecordFilter | RouteFilter): string => {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(filter)) if (value !== undefined) query.set(name, String(value))
  return query.size === 0 ? '' : `?${query.toString()}`
}

export const overlayClient = (call: ControlCall): Pick<RemoteSwitchHost, keyof OverlayCalls> => ({
  overlay: () => call('GET', '/v1/overlay'),
  overlayRecords: (filter) => call('GET', `/v1/overlay/records${queryOf(filter)}`),
  setOverlayRecord: (record) => call('PUT', '/v1/overlay/records', record),
  removeOverlayRecord: async (of) => {
    await call('POST', '/v1/overlay/records/remove', of)
  },
  overlayRoutes: (filter) => call('GET', `/v1/overlay/routes${queryOf(filter)}`),
  setOverlayRoute: (route) => call('PUT', '/v1/overlay/routes', route),
  removeOverlayRoute: async (of) => {
    await call('POST', '/v1/overlay/routes/remove', of)
  },
  setOverlaySubnet: (subnet) => call('PUT', '/v1/overlay/subnets', subnet),
  removeOverlaySubnet: async (vsid) => {
    await call('POST', '/v1/overlay/subnets/remove', { vsid })
  },
})
