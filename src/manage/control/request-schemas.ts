// What requests of the control API carry: the schemas by which they are checked, and from which the OpenAPI document comes.
import { z } from 'zod'
import { VLAN_MAX } from '../config/limits.ts'
import { portChangeSchema } from '../config/schema.ts'

/** Entries of one page of a long table. */
export const PAGE_MAX = 10_000
const PAGE_DEFAULT = 1000
/** Characters of a cursor. */
const CURSOR_MAX = 4096

export const filterSchema = z.strictObject({
  vlan: z.number().int().min(0).max(VLAN_MAX).optional().describe('Of this VLAN only.'),
  port: z.string().min(1).optional().describe('Of this port only.'),
})

export const pageSchema = z.strictObject({
  limit: z
    .number()
    .int()
    .min(1)
    .max(PAGE_MAX)
    .default(PAGE_DEFAULT)
    .describe('Asks for a page of at most so many entries; with neither limit nor after, the answer is the whole list.'),
  after: z.string().min(1).max(CURSOR_MAX).optional().describe('Asks for the page that follows: `next` of the one before.'),
})
export type PageRequest = z.output<typeof pageSchema>

export const extensionChange = z.strictObject({
  enabled: z.boolean().optional().describe('Take part or not.'),
  paused: z.boolean().optional().describe('Stop it at its place, or let it go on.'),
})
export const orderSchema = z.strictObject({ names: z.array(z.string().min(1)).describe('All extensions, in their new order.') })
export const portChange = portChangeSchema.extend({ link: z.enum(['up', 'down']).optional().describe('State of the link.') })
