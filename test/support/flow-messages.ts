// Takes IPFIX messages and sFlow datagrams apart, for tests: written from the standards, not from what makes the messages.

/** A record: values by the number of the information element. */
export type IpfixRecord = ReadonlyMap<number, Buffer>

export interface IpfixMessage {
  readonly length: number
  readonly seconds: number
  readonly sequence: number
  readonly domain: number
  readonly templates: readonly number[]
  readonly records: readonly { readonly template: number; readonly values: IpfixRecord }[]
}

type Fields = readonly (readonly [number, number])[]

/** Takes messages of one observation domain apart, in their order: later ones need the templates of those before. */
export function decodeIpfix(messages: readonly Uint8Array[]): IpfixMessage[] {
  const known = new Map<number, Fields>()
  return messages.map((bytes) => {
    const message = Buffer.from(bytes)
    if (message.readUInt16BE(0) !== 10 || message.readUInt16BE(2) !== message.length) throw new Error('no IPFIX message')
    const templates: number[] = []
    const records: { template: number; values: IpfixRecord }[] = []
    for (let at = 16; at < message.length; ) {
      const id = message.readUInt16BE(at)
      const end = at + message.readUInt16BE(at + 2)
      if (end <= at + 3 || end > message.length) throw new Error(`a set of ${end - at} bytes`)
      at += 4
      while (at < end)
        if (id === 2 || id === 3) {
          const template = message.readUInt16BE(at)
          const count = message.readUInt16BE(at + 2)
          at += id === 2 ? 4 : 6
          const fields = Array.from(
            { length: count },
            (_, n) => [message.readUInt16BE(at + n * 4), message.readUInt16BE(at + n * 4 + 2)] as const,
          )
          at += count * 4
          known.set(template, fields)
          templates.push(template)
        } else {
          const fields = known.get(id)
          if (!fields) throw new Error(`data before template ${id}`)
          const values = new Map<number, Buffer>()
          for (const [element, bytes] of fields) {
            const length = bytes === 65535 ? message[at++]! : bytes
            values.set(element, message.subarray(at, at + length))
            at += length
          }
          records.push({ template: id, values })
        }
      if (at !== end) throw new Error('a record that runs over its set')
    }
    return {
      length: message.length,
      seconds: message.readUInt32BE(4),
      sequence: message.readUInt32BE(8),
      domain: message.readUInt32BE(12),
      templates,
      records,
    }
  })
}

/** A value as a number. */
export const numberOf = (record: IpfixRecord, element: number): number => {
  const value = record.get(element)
  if (!value) throw new Error(`no element ${element}`)
  return value.length === 8 ? Number(value.readBigUInt64BE()) : value.readUIntBE(0, value.length)
}

export interface SflowSample {
  readonly kind: number
  readonly sequence: number
  readonly source: number
  /** Flow samples: rate, pool, drops, input, output. */
  readonly numbers: readonly number[]
  readonly records: ReadonlyMap<number, Buffer>
}

export interface SflowDatagram {
  readonly agent: Buffer
  readonly subAgent: number
  readonly sequence: number
  readonly uptimeMs: number
  readonly samples: readonly SflowSample[]
}

/** Takes an sFlow datagram apart. */
export function decodeSflow(bytes: Uint8Array): SflowDatagram {
  const data = Buffer.from(bytes)
  let at = 0
  const next = (): number => {
    at += 4
    return data.readUInt32BE(at - 4)
  }
  const take = (length: number): Buffer => {
    at += length
    return data.subarray(at - length, at)
  }
  if (next() !== 5) throw new Error('no sFlow 5 datagram')
  const agent = take(next() === 1 ? 4 : 16)
  const [subAgent, sequence, uptimeMs, count] = [next(), next(), next(), next()]
  const samples: SflowSample[] = []
  for (let n = 0; n < count!; n++) {
    const kind = next()
    const length = next()
    const end = at + length
    const [own, source] = [next(), next()]
    const numbers = kind === 1 ? Array.from({ length: 5 }, next) : []
    const records = new Map<number, Buffer>()
    for (let left = next(); left > 0; left--) {
      const format = next()
      records.set(format, take(next()))
    }
    if (at !== end) throw new Error(`a sample of ${length} bytes that ends elsewhere`)
    samples.push({ kind, sequence: own, source, numbers, records })
  }
  if (at !== data.length) throw new Error('bytes behind the last sample')
  return { agent, subAgent, sequence, uptimeMs, samples }
}
