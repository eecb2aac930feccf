// What the guest in the tab is to be, and the words of its kernel command line. Pure.
//
// The rule it must not break: what a person types becomes one word of the command line, or is refused.
import { BROWSER_KERNEL_WORDS } from '../../../src/lab/browser-init.ts'

export type Addressing = 'fixed' | 'dhcp' | 'none'

export interface GuestSettings {
  readonly name: string
  readonly addressing: Addressing
  /** With its prefix: 10.0.0.5/24. */
  readonly address: string
  readonly memoryMiB: number
}

/** v86 puts the initial file system at 64 MiB: the smallest guest that has it there. */
export const MEMORY_MIB = [96, 128, 256] as const
export const MTU_MAX = 1500

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/
const V4 = /^(?:\d{1,3}\.){3}\d{1,3}\/(\d{1,2})$/
const V6 = /^[0-9a-f:.]*:[0-9a-f:.]*\/(\d{1,3})$/i

/** Of each setting that can't be, why. */
export function problemsOf({ name, addressing, address }: GuestSettings): Partial<Record<keyof GuestSettings, string>> {
  const v4 = V4.exec(address)
  const v6 = V6.exec(address)
  const good =
    (v4 !== null &&
      Number(v4[1]) <= 32 &&
      address
        .split(/[./]/)
        .slice(0, 4)
        .every((part) => Number(part) < 256)) ||
    (v6 !== null && Number(v6[1]) <= 128)
  return {
    ...(NAME.test(name) ? {} : { name: 'Small letters, digits and hyphens, at most 32.' }),
    ...(addressing !== 'fixed' || good ? {} : { address: 'An address with its prefix, such as 10.0.0.5/24.' }),
  }
}

/** The command line of the guest's kernel. */
export function commandLine(
  settings: GuestSettings,
  { mac, mtu }: { readonly mac: string | null; readonly mtu: number },
): string {
  const { name, addressing, address } = settings
  return [
    ...BROWSER_KERNEL_WORDS,
    `vmswitch.name=${name}`,
    ...(mac === null ? [] : [`vmswitch.mac0=${mac}`]),
    ...(mtu >= MTU_MAX ? [] : [`vmswitch.mtu0=${mtu}`]),
    addressing === 'fixed' ? `vmswitch.ip0=${address}` : addressing === 'dhcp' ? 'vmswitch.dhcp0=1' : 'vmswitch.up0=1',
  ].join(' ')
}
