// What requests of the control API carry: the schemas by which they are checked, and from which the OpenAPI document comes.
import { z } from 'zod'
import { VLAN_MAX } from '../config/limits.ts'
import { portChangeSchema } from '../config/schema.ts'

/** Entries of one page of a long table. */
export const PAGE_MAX = 10_000
const PAGE_DEFAULT = 1000

export const filterSchema = z.strictObject({
  vlan: z.number().int().min(0).max(VLAN_MAX).optional().describe('Of this VLAN only.'),
  port: z.string().min(1).optional().describe('Of this port only.'),
})

export const pageSchema = z.strictObject({
  offset: z.number().int().min(0).default(0).describe('How many entries are passed over.'),
  limit: z.number().int().min(1).max(PAGE_MAX).default(PAGE_DEFAULT).describe('How many come at the most.'),
})
export type Page = z.output<typeof pageSchema>

/** A part of a long table. */
export interface Paged<T> {
  readonly items: readonly T[]
  /** Entries of the whole table. */
  readonly total: number
  /** Offset of the next part; null: this is the last. */
  readonly next: number | null
}

export const extensionChange = z.strictObject({
  enabled: z.boolean().optional().describe('Take part or not.'),
  paused: z.boolean().optional().describe('Stop it at its place, or let it go on.'),
})
export const orderSchema = z.strictObject({ names: z.array(z.string().min(1)).describe('All extensions, in their new order.') })
export const portChange = portChangeSchema.extend({ link: z.enum(['up', 'down']).optional().describe('State of the link.') })
