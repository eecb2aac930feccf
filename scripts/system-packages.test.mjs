import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decide, haveCommand, installCommand, labPackages, missingPackages, testPackages } from './system-packages.mjs'

const machine = { isRoot: true, hasApt: true, hasSudo: false, isTerminal: false, env: {}, ask: true }

test('a package is missing if none of its programs is there', () => {
  assert.deepEqual(
    missingPackages(['tshark', 'socat', 'python3-scapy'], (name) => name === 'socat' || name === 'scapy'),
    ['tshark'],
  )
})

test('a name that is not known is a mistake', () => {
  assert.throws(() => missingPackages(['left-pad']), /no such package/)
})

test('the lab needs no package that the tests do not', () => {
  assert.deepEqual(
    labPackages.filter((name) => !testPackages.includes(name)),
    [],
  )
})

test('without a terminal nothing is installed unless root has agreed beforehand', () => {
  assert.deepEqual(decide(['socat'], machine), { refused: 'install them with: apt-get install -y socat' })
  assert.deepEqual(decide(['socat'], { ...machine, env: { CI: 'true' } }), { by: 'agreed' })
  assert.deepEqual(decide(['socat'], { ...machine, env: { VMSWITCH_YES: '1' } }), { by: 'agreed' })
})

test('a user with sudo is asked at the terminal and told the command elsewhere', () => {
  const user = { ...machine, isRoot: false, hasSudo: true }
  assert.deepEqual(decide(['socat'], { ...user, isTerminal: true }), { by: 'asking' })
  assert.deepEqual(decide(['socat'], { ...user, env: { CI: 'true' } }), {
    refused: 'install them with: sudo apt-get install -y socat',
  })
  assert.deepEqual(decide(['socat'], { ...user, isTerminal: true, ask: false }), {
    refused: 'install them with: sudo apt-get install -y socat',
  })
})

test('a user without sudo is told what root would have to run', () => {
  const { refused } = decide(['socat'], { ...machine, isRoot: false, isTerminal: true })
  assert.match(refused, /as root, run: apt-get install -y socat/)
})

test('a machine without apt is told what it needs', () => {
  assert.match(decide(['socat'], { ...machine, hasApt: false }).refused, /no apt-get.*socat/)
})

test('commands are found by name and by path', () => {
  assert.equal(haveCommand('sh'), true)
  assert.equal(haveCommand('/bin/sh'), true)
  assert.equal(haveCommand('no-such-program-here'), false)
})

test('the command to type has sudo in it only for users', () => {
  assert.equal(installCommand(['a', 'b'], true), 'apt-get install -y a b')
  assert.equal(installCommand(['a'], false), 'sudo apt-get install -y a')
})
