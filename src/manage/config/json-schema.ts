// The configuration's JSON Schema, as published in docs/vmswitch.schema.json: for editors, and for tools that write configurations.
import { z } from 'zod'
import { configSchema } from './schema.ts'

/** JSON Schema (draft 2020-12) of a configuration as a person writes it. */
export function jsonSchema(): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(configSchema, { io: 'input' }) as Record<string, unknown>
  return { $schema, title: 'vmswitch configuration', ...rest }
}

/** The published form: two spaces, one final newline. */
export const jsonSchemaText = (): string => `${JSON.stringify(jsonSchema(), null, 2)}\n`
