// Numbers as people read them.

/** 1234567 → "1 234 567", with thin groups that copy as plain spaces. */
export const count = (value: number): string => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ')

/** Bytes with a binary unit: 1536 → "1.5 KiB". */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** Seconds as "1 h 02 min 03 s", leading zeros left out. */
export function duration(seconds: number): string {
  const whole = Math.floor(seconds)
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor((whole % 3600) / 60)
  const two = (value: number): string => String(value).padStart(2, '0')
  if (hours > 0) return `${hours} h ${two(minutes)} min ${two(whole % 60)} s`
  return minutes > 0 ? `${minutes} min ${two(whole % 60)} s` : `${whole} s`
}

/** Nanoseconds as "850 ns", "1.2 µs" or "3.4 ms". */
export function nanoseconds(value: number): string {
  if (value < 1000) return `${Math.round(value)} ns`
  return value < 1e6 ? `${(value / 1000).toFixed(1)} µs` : `${(value / 1e6).toFixed(1)} ms`
}
