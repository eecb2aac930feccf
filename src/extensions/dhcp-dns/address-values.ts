// Addresses among the options: read, or refused with the option and what would be right.
import { OptionError, parseIpv4, parseIpv6 } from '../../extension.ts'

const show = (value: unknown): string => JSON.stringify(value) ?? String(value)

export function reading<Value>(path: string, value: unknown, what: string, read: (text: string) => Value): Value {
  if (typeof value !== 'string') throw new OptionError(path, `${show(value)} is not ${what}`)
  try {
    return read(value)
  } catch (error) {
    throw new OptionError(path, (error as Error).message)
  }
}

export const ipv4At = (value: unknown, path: string): number => reading(path, value, 'an IPv4 address, like 10.0.0.1', parseIpv4)
export const ipv6At = (value: unknown, path: string): Uint8Array =>
  reading(path, value, 'an IPv6 address, like fd00::1', parseIpv6)
