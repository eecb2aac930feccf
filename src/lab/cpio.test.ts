import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { type CpioEntry, writeCpio } from './cpio.ts'

const entries: CpioEntry[] = [
  { kind: 'directory', path: 'sub' },
  { kind: 'file', path: 'sub/odd', data: Buffer.from('abcde'), mode: 0o755 },
  { kind: 'symlink', path: 'link', target: 'sub/odd' },
  { kind: 'device', path: 'null', major: 1, minor: 3, mode: 0o666 },
]

test('an archive has the newc header and is padded as the kernel expects', () => {
  const archive = writeCpio([{ kind: 'file', path: 'f', data: Buffer.from('xyz') }])
  assert.equal(
    archive.toString('latin1', 0, 110),
    `070701${'00000001'}${'000081a4'}${'00000000'.repeat(2)}${'00000001'}${'00000000'}${'00000003'}${'00000000'.repeat(4)}${'00000002'}${'00000000'}`,
  )
  assert.equal(archive.toString('latin1', 110, 116), 'f\0xyz\0')
  assert.equal(archive.length % 512, 0)
  assert.ok(archive.includes('TRAILER!!!'))
})

test('busybox reads the archive', { skip: spawnSync('busybox', ['true']).status !== 0 && 'busybox is not installed' }, () => {
  const listed = spawnSync('busybox', ['cpio', '-tv'], { input: writeCpio(entries), encoding: 'utf8' })
  assert.equal(listed.status, 0)
  const lines = listed.stdout.trim().split('\n')
  assert.equal(lines.length, 4)
  assert.match(lines[1], /^-rwxr-xr-x .* 5 .*sub\/odd$/)
  assert.match(lines[2], /link/)
  assert.match(lines[3], /^crw-rw-rw-/)
})

test('the same entries always give the same bytes', () => {
  assert.deepEqual(writeCpio(entries), writeCpio(entries))
})
