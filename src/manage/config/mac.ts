// MAC addresses as people write them.

/** Lower case with colons, for an address of six hex pairs separated by ":" or "-". */
export const normalizeMac = (mac: string): string => mac.toLowerCase().replaceAll('-', ':')

/** Whether the group bit is set: such an address can't belong to a NIC. */
export const isMulticastMac = (mac: string): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1

export const isZeroMac = (mac: string): boolean => /^[0:-]+$/.test(mac)
