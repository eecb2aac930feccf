import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ensureNewQemu, speaksVfioUser } from './new-qemu.ts'

test('QEMU speaks vfio-user from 10.1 on', () => {
  for (const version of ['QEMU emulator version 10.1.0', '10.2', 'QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1)'])
    assert.equal(speaksVfioUser(version), true, version)
  for (const version of ['QEMU emulator version 7.2.15 (Debian 1:7.2+dfsg-7)', '10.0.2', '9.9', '', 'no number'])
    assert.equal(speaksVfioUser(version), false, version)
})

test('a QEMU that is in the cache is taken without asking anyone', async () => {
  const cacheDirectory = await mkdtemp(join(tmpdir(), 'nq-'))
  try {
    await mkdir(join(cacheDirectory, 'qemu'))
    await writeFile(join(cacheDirectory, 'qemu', 'qemu-system-x86_64'), '')
    const lines: string[] = []
    const found = await ensureNewQemu({ cacheDirectory }, { progress: (line) => lines.push(line) })
    assert.match(found, /qemu-system-x86_64$/)
    assert.deepEqual(lines, [])
  } finally {
    await rm(cacheDirectory, { recursive: true })
  }
})
