// `vmswitch filter list` and `vmswitch nic list`: which addresses the hardware side takes for whom, and the NICs behind the ports.
import type { CommandContext } from '../command-context.ts'

/** Receive filters of VPorts and of receive queues. */
export async function listFilters({ terminal, connect }: CommandContext, adapter: string | undefined): Promise<void> {
  const host = await connect()
  const [adapters, queues] = await Promise.all([host.adapters(), host.queues()])
  const text = (vlan: number | 'untagged' | null): string => (vlan === null ? 'any' : String(vlan))
  const answer = [
    ...adapters.flatMap((one) =>
      one.vports.flatMap((vport) =>
        vport.filters.map(({ id, mac, vlan }) => ({
          adapter: one.name,
          of: `VPort ${vport.id}`,
          port: vport.name,
          id,
          mac,
          vlan,
        })),
      ),
    ),
    ...queues.flatMap(({ adapter: name, queue, port, filter }) =>
      filter === null ? [] : [{ adapter: name, of: `queue ${queue}`, port: port ?? '', ...filter }],
    ),
  ].filter((one) => adapter === undefined || one.adapter === adapter)
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [
      { title: 'ADAPTER', flexible: true },
      { title: 'OF' },
      { title: 'PORT', flexible: true },
      { title: 'FILTER', align: 'right' },
      { title: 'MAC' },
      { title: 'VLAN', align: 'right' },
    ],
    answer.map((one) => [one.adapter, one.of, one.port || '-', String(one.id), one.mac, text(one.vlan)]),
    'there are no receive filters',
  )
}

/** The NIC behind each port. */
export async function listNics({ terminal, connect }: CommandContext, port: string | undefined): Promise<void> {
  const answer = (await (await connect()).ports())
    .filter(({ name }) => port === undefined || name === port)
    .map(({ name, vm, mac, connected, link, queues, engine, mtu, detail }) => ({
      port: name,
      vm,
      mac,
      state: connected ? (link === 'up' ? 'connected' : 'disconnected') : 'absent',
      queues,
      engine,
      mtu,
      detail,
    }))
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [
      { title: 'PORT', flexible: true },
      { title: 'VM', flexible: true },
      { title: 'MAC' },
      { title: 'STATE' },
      { title: 'QUEUES', align: 'right' },
      { title: 'ENGINE' },
      { title: 'MTU', align: 'right' },
    ],
    answer.map((nic) => [
      nic.port,
      nic.vm,
      nic.mac ?? 'learns',
      nic.state,
      String(nic.queues),
      nic.engine ?? '-',
      String(nic.mtu),
    ]),
    port === undefined ? 'the switch has no ports' : `there is no port "${port}"`,
  )
}
