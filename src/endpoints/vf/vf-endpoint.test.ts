import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DataHalf } from '../../../test/support/data-half.ts'
import { IgbvfDriver } from '../../../test/support/igbvf-driver.ts'
import { endpointCompliance } from '../compliance.ts'
import { VfEndpoint } from './control.ts'

const path = join(mkdtempSync(join(tmpdir(), 'vf-')), 's')
const options = { port: 1, path, mac: '02:00:00:00:00:01', mtu: 9194, trusted: true, requireSeals: true }

endpointCompliance('vf', {
  half: () => new DataHalf(),
  create: (components) => new VfEndpoint(options, components),
  async connect(control) {
    const driver = IgbvfDriver.connect(path)
    await driver.setUp()
    await driver.mail(0x0006_0006)
    return {
      send: (frame) => {
        const sent = driver.send(frame)
        control.poll() // the sleeper's test blocks the thread whose event loop would
        return sent
      },
      receive: () => driver.receive()?.frame ?? null,
      vanish: () => driver.close(),
    }
  },
  lengths: [60, 64, 128, 129, 1514, 9014],
  backpressure: false,
})
