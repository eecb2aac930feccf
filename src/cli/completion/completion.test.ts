// Completion scripts in real shells, against a real service.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type CliService, startCliService } from '../../../test/support/cli-service.ts'
import { type Shell, shells } from './shell-scripts.ts'

const bin = fileURLToPath(new URL('../../../bin/vmswitch', import.meta.url))
let service: CliService
const scripts: Partial<Record<Shell, string>> = {}

before(async () => {
  service = await startCliService()
  for (const line of [
    'switch create lab',
    'port add alpha --kind memory --vm web',
    'port add beta --kind memory',
    'ext install counters',
  ])
    assert.equal((await service.run(line.split(' '))).code, 0, line)
  mkdirSync(join(service.directory, 'empty'))
  writeFileSync(join(service.directory, 'lab.yaml'), '')
  for (const shell of shells) {
    const { stdout } = await service.run(['completion', shell])
    scripts[shell] = join(service.directory, `completion.${shell}`)
    writeFileSync(scripts[shell], stdout)
  }
})
after(() => service.close())

const isThere = (shell: string): boolean => spawnSync(shell, ['--version']).status === 0

/** Candidates for the last of `words`, sorted, and what the shell says besides. */
const asks: Record<Shell, (words: readonly string[], env: Record<string, string>) => string[]> = {
  bash: (words, env) => {
    const line = words.map((word) => `'${word}'`).join(' ')
    const script = `source ${scripts.bash}; COMP_WORDS=(vmswitch ${line}); COMP_CWORD=${words.length}; _vmswitch; printf '%s\\n' "\${COMPREPLY[@]}"`
    return lines('bash', ['--norc', '-c', script], env)
  },
  zsh: (words, env) => {
    const line = words.map((word) => `'${word}'`).join(' ')
    // Outside of its line editor zsh has no compadd: this one shows what fits, as the real one does.
    const functions = `compdef() { : }; _files() { print -l -- *(N) }; compadd() { shift 3; for one in "$@"; do [[ \${one:l} == \${words[CURRENT]:l}* ]] && print -r -- $one; done; return 0 }`
    return lines(
      'zsh',
      ['-f', '-c', `${functions}; source ${scripts.zsh}; words=(vmswitch ${line}); CURRENT=${words.length + 1}; _vmswitch`],
      env,
    )
  },
  fish: (words, env) =>
    lines('fish', ['-N', '-c', `source ${scripts.fish}; complete -C 'vmswitch ${words.join(' ')}'`], env).map(
      (line) => line.split('\t')[0]!,
    ),
}

function lines(shell: string, args: readonly string[], env: Record<string, string>): string[] {
  const { stdout, stderr, status } = spawnSync(shell, args, {
    encoding: 'utf8',
    cwd: service.directory,
    env: { ...process.env, ...service.env, PATH: process.env.PATH ?? '', HOME: service.directory, VMSWITCH_PROGRAM: bin, ...env },
  })
  assert.equal(status, 0, stderr)
  assert.equal(stderr, '')
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .sort()
}

for (const shell of shells)
  describe(`completion in ${shell}`, () => {
    test('knows commands, options, words, names of the running switch, files and cmdlets', (t) => {
      if (!isThere(shell)) return t.skip(`there is no ${shell}`)
      const ask = (words: string, env = {}): string[] => asks[shell](words.split(' '), env)
      assert.deepEqual(ask('por'), ['port', 'ports'])
      assert.deepEqual(ask('port dis'), ['disconnect'])
      assert.deepEqual(ask('port set --li'), ['--link'])
      assert.deepEqual(ask('port set --link '), ['down', 'up'])
      assert.deepEqual(ask('port set '), ['alpha', 'beta'])
      assert.deepEqual(ask('port set --mtu 1500 al'), ['alpha'])
      assert.deepEqual(ask('capture alpha be'), ['beta'])
      assert.deepEqual(ask('ext enable '), ['counters'])
      assert.deepEqual(ask('extension enable coun'), ['counters'])
      assert.deepEqual(ask('fdb --port b'), ['beta'])
      assert.deepEqual(ask('Get-VMNetworkAdapter -VMName '), ['beta', 'web'])
      assert.deepEqual(ask('Set-VMNetworkAdapter -DhcpGuard '), ['Off', 'On'])
      assert.ok(ask('Set-VMNetworkAdapterV').includes('Set-VMNetworkAdapterVlan'))
      assert.deepEqual(ask('port rename alpha new'), [])
      assert.ok(ask('apply ').includes('lab.yaml'))
    })

    test('is silent where no switch runs', (t) => {
      if (!isThere(shell)) return t.skip(`there is no ${shell}`)
      assert.deepEqual(asks[shell](['port', 'show', ''], { VMSWITCH_CONTROL: join(service.directory, 'none.sock') }), [])
    })
  })
