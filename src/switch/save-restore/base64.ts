// Base64 as RFC 4648 has it, strictly: padded, no white space, no bits beyond the data. Runs where there is no Buffer.
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const values = new Int8Array(128).fill(-1)
for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i

/** The text of some bytes. */
export function encodeBase64(bytes: Uint8Array): string {
  const parts: string[] = []
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i
    const word = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0)
    parts.push(
      alphabet[word >> 18]! +
        alphabet[(word >> 12) & 63]! +
        (left > 1 ? alphabet[(word >> 6) & 63]! : '=') +
        (left > 2 ? alphabet[word & 63]! : '='),
    )
  }
  return parts.join('')
}

/** The bytes of a text; undefined if it is not what `encodeBase64` makes of any. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const symbols = text.length - padding
  const bytes = new Uint8Array((text.length / 4) * 3 - padding)
  let word = 0
  let at = 0
  for (let i = 0; i < symbols; i++) {
    const code = text.charCodeAt(i)
    const value = code < 128 ? values[code]! : -1
    if (value < 0) return undefined
    word = (word << 6) | value
    if (i % 4 === 3) {
      bytes[at++] = word >> 16
      bytes[at++] = word >> 8
      bytes[at++] = word
      word = 0
    }
  }
  // What is left of a group: 12 bits for one byte, 18 for two; bits beyond them must be 0.
  if (padding === 2) {
    bytes[at] = word >> 4
    if ((word & 15) !== 0) return undefined
  } else if (padding === 1) {
    bytes[at] = word >> 10
    bytes[at + 1] = word >> 2
    if ((word & 3) !== 0) return undefined
  }
  return bytes
}
