// Real Linux guests that get their addresses and names from the switch.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prepareGuestTests } from '../support/qemu.ts'
import { QemuLab } from '../support/qemu-lab.ts'

const tests = await prepareGuestTests()

test('a guest gets its address by DHCP and reaches another by its name', {
  skip: tests.skip,
  timeout: 120_000,
}, async (context) => {
  const lab = await QemuLab.open(
    tests,
    `switch:
  name: served
  extensions:
    - use: dhcp-dns
      options:
        domain: lab.test
        mtu: 1400
        ipv4: { address: 10.83.0.1/24, pool: 10.83.0.100-10.83.0.199 }
        statics: [{ port: beta, address: 10.83.0.10 }]
  ports:
    - { name: alpha, mac: "52:54:00:83:00:01", endpoint: { kind: vhost-user, path: alpha.sock } }
    - { name: beta, mac: "52:54:00:83:00:02", endpoint: { kind: vhost-user, path: beta.sock } }
`,
  )
  context.after(() => lab.close())
  const [alpha, beta] = await lab.boot({ alpha: {}, beta: {} })
  for (const guest of [alpha, beta]) {
    const { code, output } = await guest.run('udhcpc -i eth0 -n -q -t 10 -T 1 2>&1', { timeoutMs: 20_000 })
    assert.equal(code, 0, output)
  }
  assert.match((await alpha.run('ip address show dev eth0')).output, /mtu 1400 (.|\n)*inet 10\.83\.0\.1\d\d\/24/)
  assert.match((await beta.run('ip address show dev eth0')).output, /inet 10\.83\.0\.10\/24/)
  const pinged = await alpha.run('ping -c 1 -W 5 10.83.0.10 && nslookup beta.lab.test', { timeoutMs: 20_000 })
  assert.equal(pinged.code, 0, pinged.output)
  assert.match(pinged.output, /Address: 10\.83\.0\.10/)
})
