// What a request carries, checked; and lists as they are asked for: whole, or a page of them.
//
// The rule it must not break: nothing of a request is used that no schema has seen, and a refusal says what is wrong with it.
import type { Context } from 'hono'
import type { z } from 'zod'
import { pathText } from '../config/diagnostics.ts'
import { explainIssues } from '../config/explain.ts'
import { ControlError } from './control-errors.ts'
import { type PageKey, pageOf } from './pages.ts'
import { pageSchema } from './request-schemas.ts'

export function refuse(code: string, message: string): never {
  throw new ControlError(code, message)
}

/** The body of a request. Throws ControlError `bad-request`. */
export async function body<T extends z.ZodType>(context: Context, schema: T): Promise<z.output<T>> {
  const text = await context.req.text()
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch {
    return refuse('bad-request', 'the body of the request is not JSON')
  }
  return check(schema, data)
}

/** `data` by `schema`. Throws ControlError `bad-request`. */
export function check<T extends z.ZodType>(schema: T, data: unknown): z.output<T> {
  const parsed = schema.safeParse(data)
  if (parsed.success) return parsed.data
  const [first] = explainIssues(schema, data, parsed.error.issues)
  const where = first === undefined ? '' : pathText(first.path)
  const text = first === undefined ? parsed.error.message : `${where === '' ? '' : `${where}: `}${first.message}`
  return refuse('bad-request', first?.hint ? `${text}; ${first.hint}` : text)
}

/** A list as the answer to a request for it: the page that it asks for, in the order of `keyOf`; else the whole list. */
export function table<T>(context: Context, all: readonly T[], keyOf: (entry: T) => PageKey): Response {
  const { limit, after } = context.req.query()
  if (limit === undefined && after === undefined) return context.json(all)
  const page = check(pageSchema, { after, ...(limit === undefined ? {} : { limit: Number(limit) }) })
  return context.json(pageOf(all, keyOf, page))
}
