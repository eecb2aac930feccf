// The few JSON schemas of the document that are made by hand: references, lists, pages, errors.

export type JsonSchema = Readonly<Record<string, unknown>>

export const refTo = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` })
export const listOf = (items: JsonSchema): JsonSchema => ({ type: 'array', items })
export const nullOr = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: 'null' }] })
export const oneOf = (...schemas: JsonSchema[]): JsonSchema => ({ oneOf: schemas })

/** A part of a long table. */
export const pageOf = (items: JsonSchema): JsonSchema => ({
  type: 'object',
  properties: {
    items: listOf(items),
    total: { type: 'integer', minimum: 0, description: 'Entries of the whole table, now.' },
    next: {
      anyOf: [{ type: 'string' }, { type: 'null' }],
      description: 'Asks for the part that follows (`after`); null: this is the last.',
    },
  },
  required: ['items', 'total', 'next'],
  additionalProperties: false,
})

/** An error; `codes`: one of these. */
export const problemOf = (codes?: readonly string[]): JsonSchema => ({
  type: 'object',
  properties: { code: codes === undefined ? { type: 'string' } : { enum: codes }, message: { type: 'string' } },
  required: ['code', 'message'],
})
