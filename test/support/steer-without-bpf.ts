// A process without the right to load BPF programs: it opens an uplink with two queues on the interface that it is given, asks it to
// steer, and prints what became of that.
import { UplinkEndpoint } from '../../src/endpoints/uplink/uplink-endpoint.ts'
import { DataHalf } from './data-half.ts'

const half = new DataHalf()
const control = new UplinkEndpoint(
  { port: 1, interface: process.argv[2] ?? '', via: 'packet', queues: 2 },
  { memory: half.memory, events: half.events },
)
await control.open()
const result = control.steer([{ mac: '02:00:00:00:00:01', vlan: 'any', queue: 1 }])
console.log(JSON.stringify({ ...result, steering: control.describe().steering }))
await control.close()
half.close()
