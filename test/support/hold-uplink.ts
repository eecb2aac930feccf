// A process that holds an uplink over AF_XDP on the interface that it is given, until it is killed.
import { UplinkEndpoint } from '../../src/endpoints/uplink/uplink-endpoint.ts'
import { DataHalf } from './data-half.ts'

const half = new DataHalf()
const control = new UplinkEndpoint(
  { port: 1, interface: process.argv[2] ?? '', via: 'xdp' },
  { memory: half.memory, events: half.events },
)
await control.open()
console.log('ready')
setInterval(() => {}, 1000)
