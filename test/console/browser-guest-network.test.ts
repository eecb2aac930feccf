// A guest in the browser of another machine: the page over the network listener, its port over TLS.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ownCertificate } from '../../src/manage/network/self-signed.ts'
import { addToken } from '../../src/manage/network/tokens.ts'
import { browse, noBrowser } from '../support/browser.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))

/** In the page: asks for a ticket as the page does, and opens the port with it; answers "open", or what became of it. */
const connects = (port: string): string => `(async () => {
  const headers = { authorization: 'Bearer ' + Object.values(sessionStorage)[0] }
  const { url, protocols } = await (await fetch('/v1/ports/${port}/ticket', { method: 'POST', headers })).json()
  return new Promise((resolve) => {
    const socket = new WebSocket(url, protocols)
    socket.onopen = () => resolve(url.split('://')[0] + ' open ' + socket.protocol)
    socket.onclose = () => resolve('closed')
  })
})()`

test("the page of a guest over the network listener has its visitor sign in, opens the switch's ports with tickets, and reaches nothing else", {
  skip: noBrowser,
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-tab-'))
  const run = join(directory, 'run')
  mkdirSync(run, { mode: 0o700 })
  const tokens = join(directory, 'tokens')
  const token = addToken(tokens, { name: 'alice', role: 'admin' })
  const endpoint = {
    kind: 'websocket',
    listen: '0.0.0.0:0',
    tokenFile: 'tab.token',
    ...ownCertificate(run, ['127.0.0.1'], Date.now()),
  }
  const plain = { kind: 'websocket', listen: '127.0.0.1:0', tokenFile: 'plain.token' }
  const config = join(directory, 'net.json')
  writeFileSync(
    config,
    JSON.stringify({
      switch: {
        name: 'net',
        ports: [
          { name: 'tab', endpoint },
          { name: 'plain', endpoint: plain },
        ],
      },
      runtime: { directory: run },
    }),
  )
  const words = ['--state', join(directory, 'state'), '--control', join(directory, 'c.sock'), '--apply', config, '--json']
  const listen = ['--listen', '127.0.0.1:0', '--tls-self-signed', '--token-file', tokens]
  const child = spawn(bin, ['serve', ...words, ...listen], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => child.once('close', resolve))
  try {
    const url = await new Promise<string>((resolve, reject) => {
      let told = ''
      child.once('close', () => reject(new Error(`vmswitch serve ended: ${told}`)))
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        told += text
        const at = /"event":"ready".*"listen":"([^"]+)"/.exec(told)?.[1]
        if (at !== undefined) resolve(`https://${at}`)
      })
    })
    const { page, close } = await browse(`${url}/console/guest/?port=tab&address=192.0.2.9%2F24`, { shows: '.sign-in' })
    try {
      await page.fill('.sign-in input', token)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.locator('main.guest select option', { hasText: 'tab' }).waitFor({ state: 'attached' })
      assert.equal(await page.inputValue('main.guest input[name=address]'), '192.0.2.9/24')
      assert.equal(new URL(page.url()).pathname, '/console/guest/')
      assert.equal(await page.evaluate(connects('tab')), 'wss open vmswitch-frames')
      assert.equal(await page.evaluate(connects('plain')), 'ws open vmswitch-frames')
      const elsewhere = `new Promise((resolve) => {
        document.addEventListener('securitypolicyviolation', ({ blockedURI }) => resolve(blockedURI))
        new WebSocket('ws://192.0.2.1:7801/')
      })`
      assert.match(String(await page.evaluate(elsewhere)), /^ws:\/\/192\.0\.2\.1:7801/)
    } finally {
      await close()
    }
  } finally {
    child.kill('SIGTERM')
    await ended
    rmSync(directory, { recursive: true })
  }
})
