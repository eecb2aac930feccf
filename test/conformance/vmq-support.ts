// What the tests of VM queues share.
import { MAC, wireFrame } from '../support/adapter-harness.ts'

/** A frame from the wire. */
export const to = (mac: string, text: string, ...tags: number[]): Buffer => wireFrame(mac, MAC.peer, text, ...tags)

/** Texts of the packets of indications. */
export const texts = (indications: readonly { readonly packets: readonly { readonly text: string }[] }[]): string[][] =>
  indications.map(({ packets }) => packets.map(({ text }) => text))

/** Lets promises that are ready settle. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
