// The distribution's packages that the lab and the tests use: finds what is missing and installs it, after asking once.
// Plain JavaScript for any Node from 20 on, without dependencies: it runs before anything else is there.
//
// The rule it must not break: the system's package manager is never started without a yes: from the person at the terminal, or
// from CI=true or VMSWITCH_YES=1 when root. Otherwise it says exactly which command would help.
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline/promises'

/** Packages by name, each with a program that shows that it is there. A name may hold several places of that program. */
const packages = {
  'qemu-system-x86': ['qemu-system-x86_64'],
  'busybox-static': ['busybox'],
  dpkg: ['dpkg-deb'],
  'dpdk-dev': ['dpdk-testpmd'],
  'openvswitch-switch-dpdk': ['/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk', 'ovs-vswitchd-dpdk'],
  tshark: ['tshark'],
  iperf3: ['iperf3'],
  iproute2: ['ip'],
  ethtool: ['ethtool'],
  'python3-scapy': ['scapy3', 'scapy'],
  socat: ['socat'],
  vde2: ['vde_switch'],
  chromium: ['chromium'],
  'nats-server': ['nats-server'],
  nfdump: ['nfcapd'],
  'nfdump-sflow': ['sfcapd'],
}
/** Used by benchmarks alone. */
const benchPackages = ['vde2']

/** What `npm start` uses. */
export const labPackages = ['qemu-system-x86', 'busybox-static', 'dpkg']
/** What `npm test` uses in all. */
export const testPackages = Object.keys(packages).filter((name) => !benchPackages.includes(name))

const APT_LOCK_SECONDS = 120
const EXIT_TAIL_LINES = 12

/** Is a program on PATH (or in the sbin folders, which a user's PATH often lacks)? An absolute path is looked at as it is. */
export function haveCommand(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  const candidates = name.startsWith('/') ? [name] : folders.filter((folder) => folder !== '').map((folder) => join(folder, name))
  return candidates.some((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** The packages of `names` that are not there. Throws for a name that this file does not know. */
export function missingPackages(names, have = haveCommand) {
  for (const name of names)
    if (packages[name] === undefined) throw new Error(`no such package in scripts/system-packages.mjs: ${name}`)
  return names.filter((name) => !packages[name].some(have))
}

/** The command that installs packages on this machine, as a person would type it. */
export const installCommand = (names, isRoot = process.getuid() === 0) =>
  `${isRoot ? '' : 'sudo '}apt-get install -y ${names.join(' ')}`

/** How packages may be installed here: `{ by }`, or `{ refused }` with what to tell the person. A pure decision. */
export function decide(missing, { isRoot, hasApt, hasSudo, isTerminal, env, ask }) {
  const command = installCommand(missing, isRoot)
  if (!hasApt)
    return { refused: `this machine has no apt-get; install what provides ${missing.join(', ')} by its own package manager` }
  if (!isRoot && !hasSudo) return { refused: `not root, and no sudo; as root, run: apt-get install -y ${missing.join(' ')}` }
  const agreed = env.VMSWITCH_YES === '1' || env.CI === 'true'
  if (agreed && isRoot) return { by: 'agreed' }
  if (ask && isTerminal) return { by: 'asking' }
  return { refused: `install them with: ${command}` }
}

/**
 * Makes sure that packages are there. Returns `{ missing }`: those that still are not, never an exception for them.
 *   why   what they are for, for the question ("the lab")
 *   ask   whether a person at the terminal may be asked
 */
export async function ensurePackages(names = testPackages, { why = 'the tests', ask = true } = {}) {
  const missing = missingPackages(names)
  if (missing.length === 0) return { missing }
  say(`${why} can use ${missing.length === 1 ? 'a package' : 'packages'} that this machine lacks: ${missing.join(', ')}`)
  const decision = decide(missing, {
    isRoot: process.getuid() === 0,
    hasApt: haveCommand('apt-get'),
    hasSudo: haveCommand('sudo'),
    isTerminal: process.stdin.isTTY === true && process.stderr.isTTY === true,
    env: process.env,
    ask,
  })
  if (decision.refused !== undefined) {
    say(decision.refused)
    return { missing }
  }
  if (decision.by === 'asking' && !(await agrees(`Install ${missing.join(', ')} with "${installCommand(missing)}"? [Y/n] `))) {
    say(`not installed; the command for later: ${installCommand(missing)}`)
    return { missing }
  }
  install(missing)
  const left = missingPackages(names)
  if (left.length > 0) say(`still missing: ${left.join(', ')}; to see why, run: ${installCommand(left)}`)
  return { missing: left }
}

function say(line) {
  process.stderr.write(`packages: ${line}\n`)
}

async function agrees(question) {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = (await terminal.question(question)).trim().toLowerCase()
    return answer === '' || answer === 'y' || answer === 'yes'
  } catch {
    return false
  } finally {
    terminal.close()
  }
}

/** Installs; if that fails, most often since the lists are old or were never fetched, renews them and tries once more. */
function install(names) {
  say(`installing ${names.join(', ')} (this can take a minute)`)
  if (names.every(isKnown) && apt(['install', '-y', '--no-install-recommends', ...names], { quiet: true })) return
  say('renewing the package lists')
  // One dead source must not stop the others: what matters is whether the installation then works.
  if (!apt(['update'], { quiet: true })) say('not all package lists could be renewed; trying all the same')
  const known = names.filter(isKnown)
  for (const name of names) if (!known.includes(name)) say(`no package source of this machine has ${name}`)
  if (known.length > 0) apt(['install', '-y', '--no-install-recommends', ...known], { quiet: false })
}

function isKnown(name) {
  const found = spawnSync('apt-cache', ['policy', name], { encoding: 'utf8' })
  const candidate = /Candidate: (\S+)/.exec(found.stdout ?? '')
  return candidate !== null && candidate[1] !== '(none)'
}

/** Runs apt-get, as root or by sudo. It waits for another apt to end; what it says is shown where it fails. */
function apt(args, { quiet }) {
  const options = ['-q', '-o', `DPkg::Lock::Timeout=${APT_LOCK_SECONDS}`, '-o', 'Acquire::Retries=2', ...args]
  const environment = ['DEBIAN_FRONTEND=noninteractive', 'NEEDRESTART_MODE=l']
  const [program, ...line] = [...(process.getuid() === 0 ? [] : ['sudo']), 'env', ...environment, 'apt-get', ...options]
  const done = spawnSync(program, line, { stdio: ['inherit', 'pipe', 'pipe'], encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  if (done.status === 0) return true
  const said = `${done.stdout ?? ''}${done.stderr ?? ''}${done.error?.message ?? ''}`.trim()
  if (!quiet || /Could not get lock|Permission denied/.test(said))
    process.stderr.write(`${said.split('\n').slice(-EXIT_TAIL_LINES).join('\n')}\n`)
  return false
}
