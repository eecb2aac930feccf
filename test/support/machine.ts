// What this machine can run: tests that need more than it has are skipped with the reason.
import { accessSync, constants, existsSync } from 'node:fs'

/** Why a test that creates interfaces can't run here; undefined if it can. */
export function whyNoTap(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root (CAP_NET_ADMIN) to create TAP interfaces'
  if (!existsSync('/dev/net/tun')) return 'this machine has no /dev/net/tun (modprobe tun)'
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
  } catch {
    return 'no permission for /dev/net/tun'
  }
  return undefined
}

const NOBODY = 65534

/** Runs `work` without root's capabilities where the process has them; as it is where it has none. */
export async function asNobody(work: () => Promise<void>): Promise<void> {
  if (process.getuid?.() !== 0) return work()
  process.seteuid?.(NOBODY)
  try {
    await work()
  } finally {
    process.seteuid?.(0)
  }
}
