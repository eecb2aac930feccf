import assert from 'node:assert/strict'
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../../test/support/temp-dir.ts'
import { until } from '../../test/support/until.ts'
import { SinkFile } from './sink-file.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test('a log keeps what it has, and is cut where it is full with that counted', async () => {
  const path = join(temporaryDirectory(), 'log')
  writeFileSync(path, 'before\n')
  const declaration = { name: 'log', path, append: true, rotateBytes: 14, rotateFiles: 2 }
  const file = new SinkFile(declaration, path)
  file.write(bytes('after 1\n'), false)
  await file.close()
  assert.deepEqual([readFileSync(`${path}.1`, 'utf8'), readFileSync(path, 'utf8')], ['before\n', 'after 1\n'])
  const again = new SinkFile({ ...declaration, rotateBytes: 0 }, path)
  again.write(bytes('after 2\n'), false)
  await again.close()
  assert.equal(readFileSync(path, 'utf8'), 'after 1\nafter 2\n')
})

test('without it a file begins anew', async () => {
  const path = join(temporaryDirectory(), 'log')
  writeFileSync(path, 'before')
  const file = new SinkFile({ name: 'log', path }, path)
  file.write(bytes('after'), false)
  await file.close()
  assert.equal(readFileSync(path, 'utf8'), 'after')
})

test('a disk that is full loses records, which are counted, and those that come when there is room again are written', async () => {
  const path = join(temporaryDirectory(), 'log')
  symlinkSync('/dev/full', path)
  const file = new SinkFile({ name: 'log', path }, path, 0)
  file.write(bytes('HEAD'), true)
  await until(() => file.lost === 1, 'the first loss')
  rmSync(path)
  writeFileSync(path, '')
  file.write(bytes('one'), false)
  file.write(bytes('two'), false)
  await file.close()
  assert.equal(readFileSync(path, 'utf8'), 'HEADonetwo')
  assert.equal(file.lost, 1)
})
