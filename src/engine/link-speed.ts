// How fast a link to the network is, as the kernel tells.
import { readFileSync } from 'node:fs'

const BITS_PER_MEGABIT = 1e6

/** Bits per second of these interfaces together; 0 if one is not known: the link is down, or the interface says none (a bridge, a TAP …). */
export function linkSpeedOf(interfaces: readonly string[], read: (name: string) => string = readSpeed): number {
  const speeds = interfaces.map((name) => {
    try {
      return Number(read(name))
    } catch {
      return 0 // no interface of the host, or none with a speed
    }
  })
  return speeds.every((speed) => speed > 0) ? speeds.reduce((sum, speed) => sum + speed, 0) * BITS_PER_MEGABIT : 0
}

const readSpeed = (name: string): string => readFileSync(`/sys/class/net/${name}/speed`, 'utf8')
