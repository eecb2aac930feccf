// Bits per second as people write them: 10mbit.

const unitBits: Readonly<Record<string, number>> = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 }

/** A rate such as "64kbit", "100mbit", "2.5gbit" in bits per second; undefined if the text is none. */
export function parseBitRate(text: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,9})?)(bit|kbit|mbit|gbit)$/.exec(text)
  return match === null ? undefined : Math.round(Number(match[1]) * unitBits[match[2]!]!)
}

/** The same, the other way round: 100 000 000 → "100mbit". */
export function bitRateText(bitsPerSecond: number): string {
  const [unit, size] = Object.entries(unitBits)
    .reverse()
    .find(([, bits]) => bitsPerSecond >= bits) ?? ['bit', 1]
  return `${Number((bitsPerSecond / size).toPrecision(12))}${unit}`
}
