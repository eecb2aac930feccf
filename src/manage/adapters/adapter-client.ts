// The calls about SR-IOV adapters through the control API. control-client.ts has the others.
import type { RemoteSwitchHost } from '../host.ts'

type Call = <T>(method: string, route: string, body?: unknown) => Promise<T>
type RemoteAdapterCalls = Pick<
  RemoteSwitchHost,
  | 'adapters'
  | 'adapter'
  | 'pullAdapter'
  | 'plugAdapter'
  | 'adapterRequest'
  | 'setVf'
  | 'vfs'
  | 'assignVf'
  | 'removeVf'
  | 'resetVf'
  | 'queues'
  | 'setQueue'
  | 'rss'
  | 'setVmmq'
  | 'moveRss'
>

export function adapterClient(call: Call): RemoteAdapterCalls {
  const of = (name: string, rest = ''): string => `/v1/adapters/${encodeURIComponent(name)}${rest}`
  return {
    adapters: () => call('GET', '/v1/adapters'),
    adapter: (name) => call('GET', of(name)),
    pullAdapter: (name) => call('POST', of(name, '/pull'), {}),
    plugAdapter: (name) => call('POST', of(name, '/plug'), {}),
    adapterRequest: (name, request) => call('POST', of(name, '/request'), request),
    setVf: ({ adapter, vf, words }) => call('PATCH', of(adapter, `/vfs/${vf}`), words),
    vfs: () => call('GET', '/v1/vfs'),
    assignVf: (port) => call('POST', '/v1/vfs/assign', { port }),
    removeVf: async (removal) => {
      await call('POST', '/v1/vfs/remove', removal)
    },
    resetVf: (port) => call('POST', '/v1/vfs/reset', { port }),
    queues: () => call('GET', '/v1/queues'),
    rss: () => call('GET', '/v1/rss'),
    setVmmq: ({ port, ...change }) => call('PATCH', `/v1/rss/${encodeURIComponent(port)}`, change),
    moveRss: ({ port, ...move }) => call('POST', `/v1/rss/${encodeURIComponent(port)}/moves`, move),
    setQueue: ({ port, processor }) => call('PATCH', `/v1/queues/${encodeURIComponent(port)}`, { processor }),
  }
}
