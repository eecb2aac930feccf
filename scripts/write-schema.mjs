// Writes docs/vmswitch.schema.json from the configuration's type; with --check, only says whether the file is up to date.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { jsonSchemaText } from '../src/manage/config/json-schema.ts'

const file = fileURLToPath(new URL('../docs/vmswitch.schema.json', import.meta.url))
const want = jsonSchemaText()

if (process.argv.includes('--check')) {
  let have = ''
  try {
    have = readFileSync(file, 'utf8')
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  if (have !== want) {
    console.log('docs/vmswitch.schema.json is not what the configuration says; write it with: npx node scripts/write-schema.mjs')
    process.exitCode = 1
  }
} else writeFileSync(file, want)
