// A network of two hosts, looked at from one place: frames are traced from host to host, tunnels show their rates, on the command line and in
// the console.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { NetworkPort, NetworkStatus } from '../../src/manage/cluster/cluster-calls.ts'
import type { TraceReport } from '../../src/manage/diagnosis/diagnosis-calls.ts'
import type { FollowedTunnel } from '../../src/manage/diagnosis/follow.ts'
import { udpFrame } from '../../src/packet/build.ts'
import { browse, noBrowser, overflows } from '../support/browser.ts'
import { noNatsServer } from '../support/nats-server.ts'
import { type TwoHosts, twoHosts } from '../support/two-hosts.ts'
import { until } from '../support/until.ts'
import { whyNoVeth } from '../support/veth.ts'

const skip = whyNoVeth() ?? noNatsServer()
const FRAME = 'udp,to=web,src=10.1.0.1,dst=10.1.0.2,dport=53,dmac=52:54:00:00:00:02'
const FRAMES_EVERY_MS = 20
/** Machines whose processors others hold take long. */
const PAGE_MS = 60_000

test('a frame is followed into the tunnel, to the other host and its port; what may not be asked there is said; tunnels show their rates', {
  skip,
  timeout: 180_000,
}, async (t) => {
  const world = await twoHosts(t)
  const { directory, one, token, ca, url, closeTwo } = world
  const stranger = join(directory, 'stranger')
  writeFileSync(stranger, 'vmsw_nobody', { mode: 0o600 })
  const trace = async (words: readonly string[], env = {}): Promise<string> => {
    const { stdout, stderr } = await one.service.run(['trace', 'web', '--synth', FRAME, ...words], env)
    assert.equal(stderr, '')
    return stdout
  }

  // What does not change anything is asked side by side: a command takes a while to start.
  const asHost = ['--to-token-file', token, '--to-ca', ca]
  const [alone, followed, text, named] = await Promise.all([
    trace([]),
    trace(['--follow', ...asHost]),
    trace(['--follow', ...asHost, '--json']),
    trace(['--to-host', url, ...asHost]),
  ])
  assert.match(alone, /overlay +switch +the record of 52:54:00:00:00:02 in virtual subnet 5001 leads to provider 192\.0\.2\.2/)
  assert.match(
    alone,
    /\nIt would be delivered to wire-one\.\nthrough the tunnel to 192\.0\.2\.2, host two: .* UDP 192\.0\.2\.1\.\d+ > 192\.0\.2\.2\.4789/,
  )

  assert.match(followed, /\n1\. through the tunnel to 192\.0\.2\.2, host two, where it comes in as\n/)
  assert.match(followed, /1 +arrival +switch +comes in at port wire-two\n/)
  assert.match(followed, /overlay +switch +comes through VXLAN of provider 192\.0\.2\.1, virtual subnet 5001\n/)
  assert.match(followed, /\nIt would be delivered to db\.\n$/)

  assert.match(named, /delivered to db\.\n$/)

  const json = JSON.parse(text) as TraceReport & { followed: readonly FollowedTunnel[] }
  assert.equal(json.tunnels[0]!.host, 'two')
  assert.deepEqual(
    json.followed.map(({ host, provider, report }) => [host, provider, report?.delivered]),
    [['two', '192.0.2.2', ['db']]],
  )
  assert.equal(json.followed[0]!.report!.steps.at(-1)!.stage, 'delivery')

  // What goes through the tunnel, and where a MAC address is.
  const seen = (await one.service.run(['network'])).stdout
  assert.match(seen, /TUNNEL TO .*\n192\.0\.2\.2 +two +02:50:c0:00:02:02 +\d+ +\d+ B\/s +\d+ +\d+ B\/s\n/)
  const [whole, places, nobody] = await Promise.all(
    [
      ['network', '--json'],
      ['network', 'ports', '52:54:00:00:00:02', '--json'],
      ['network', 'ports', 'two', 'web'],
    ].map(async (words) => (await one.service.run(words)).stdout),
  )
  assert.deepEqual(
    (JSON.parse(whole!) as NetworkStatus).tunnels.map(({ host, rate }) => [host, typeof rate?.sentFrames]),
    [['two', 'number']],
  )
  assert.deepEqual(
    (JSON.parse(places!) as NetworkPort[]).map(({ name, host }) => [name, host]),
    [['db', 'two']],
  )
  assert.equal(nobody, 'no port fits\n')

  if (noBrowser === false) await looksAtTheConsole(world)

  // By the file of hosts, whose own token counts for this host.
  mkdirSync(join(directory, 'vmswitch'))
  writeFileSync(join(directory, 'vmswitch/hosts.yaml'), JSON.stringify({ two: { host: url, tokenFile: token, ca } }))
  const [byFile, unknown, without, untrusted] = await Promise.all([
    trace(['--follow'], { XDG_CONFIG_HOME: directory }),
    trace(['--follow', '--to-token-file', stranger, '--to-ca', ca]),
    trace(['--follow']),
    trace(['--follow', '--to-token-file', token]),
  ])
  assert.match(byFile, /delivered to db\.\n$/)
  assert.match(unknown, /not known: .*token.*\(not-permitted\)/)
  assert.match(without, /not known: .* wants a token \(no-token\)/)
  assert.match(untrusted, /not known: .*\(not-trusted\)/)
  await closeTwo()
  assert.match(await trace(['--follow', ...asHost]), /host two: what becomes of it there is not known: /)
})

/** The console of the second host, in light and dark, wide and on a phone. */
async function looksAtTheConsole({ url, token, one, two }: TwoHosts): Promise<void> {
  const addresses = {
    sourceMac: '52:54:00:00:00:01',
    destinationMac: '52:54:00:00:00:02',
    source: '10.1.0.1',
    destination: '10.1.0.2',
  }
  const bytes = udpFrame(addresses, 1, 2, new Uint8Array(1000))
  const timer = setInterval(() => {
    one.guest.send(bytes)
    while (two.guest.receive() !== null);
  }, FRAMES_EVERY_MS)
  const { page, complaints, close } = await browse(`${url}/console/`, { shows: '.sign-in' })
  page.setDefaultTimeout(PAGE_MS)
  try {
    await page.fill('.sign-in input', readFileSync(token, 'utf8').trim())
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.locator('.tunnels li', { hasText: 'one' }).waitFor()
    await page.getByRole('tab', { name: 'Network' }).click()
    const host = page.getByRole('grid', { name: 'Hosts and tunnels' }).locator('.list-row', { hasText: '192.0.2.1' })
    await host.filter({ hasText: /\d kb\/s/ }).waitFor()
    await page.locator('[data-figure=lag]', { hasText: 'ms' }).waitFor()
    const places = page.getByRole('grid', { name: 'Where each address is' })
    await page.fill('#place-search', '00:00:01')
    await places
      .locator('.list-row')
      .filter({ hasText: /web.*one/ })
      .waitFor()
    assert.equal(await places.locator('.list-row').count(), 1)
    for (const width of [320, 1400]) {
      await page.setViewportSize({ width, height: 900 })
      await until(async () => !(await overflows(page)), `a page that fits ${width}`)
    }
    assert.deepEqual(
      complaints.filter((one) => !one.includes('401')),
      [],
    )
  } finally {
    clearInterval(timer)
    await close()
  }
}
