// A network of three hosts under real failure: three NATS servers, three services in network namespaces of their own, guests whose kernels
// are real. What fails is killed, stopped or cut off; what must go on is asked for all the time.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ClusterWorld } from '../support/cluster-world.ts'
import { noNatsServer } from '../support/nats-server.ts'
import { whyNoWorld } from '../support/tap-world.ts'
import { whyNoVeth } from '../support/veth.ts'

const skip = whyNoWorld() || (whyNoVeth() ?? noNatsServer())

describe('a network of three hosts', { skip, timeout: 600_000 }, () => {
  let world: ClusterWorld
  before(async () => {
    world = new ClusterWorld()
    await world.open()
  })
  after(() => world.close())

  test('guests of one virtual subnet on three hosts reach each other by what the network tells alone, and it is seen from one place', async () => {
    await world.settled()
    const { hosts, guests } = world
    for (const from of guests) for (const to of guests) if (from !== to) await from.reaches(to)
    const [first] = hosts
    const { stdout } = await first!.run('network')
    assert.match(stdout, /network lab, host h1: joined since/)
    assert.match(stdout, /h1 +here +192\.0\.2\.1 +1 /)
    assert.match(stdout, /h2 +alive +[\d.]+ s ago +192\.0\.2\.2 +1 /)
    assert.match(stdout, /g3 +h3 +02:00:00:00:51:03 +5001 +10\.1\.0\.3 +up +held/)
    const overlay = await first!.run('overlay')
    assert.match(overlay.stdout, /192\.0\.2\.2/)
    assert.match(overlay.stdout, /192\.0\.2\.3/)
  })
})
