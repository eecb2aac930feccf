// MAC addresses as people write them.

/** Lower case with colons, for an address of six hex pairs separated by ":" or "-". */
export const normalizeMac = (mac: string): string => mac.toLowerCase().replaceAll('-', ':')

/** Whether the group bit is set: such an address can't belong to a NIC. */
export const isMulticastMac = (mac: string): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1

export const isZeroMac = (mac: string): boolean => /^[0:-]+$/.test(mac)

/** What to do about a group address: the nearest one of a station. */
export function multicastHint(mac: string): string {
  const first = (Number.parseInt(mac.slice(0, 2), 16) & 0xfe) | 0x02
  return `the lowest bit of the first byte must be 0, for example ${first.toString(16).padStart(2, '0')}${mac.slice(2)}`
}
