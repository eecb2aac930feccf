// The OpenAPI 3.1 document of the control API, from the schemas by which requests are checked.
import { z } from 'zod'
import { packageVersion } from '../switch-host.ts'
import { type Operation, operations } from './operations.ts'

type Json = Readonly<Record<string, unknown>>

const schemaOf = (schema: z.ZodType): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Record<string, unknown>
  return rest
}

/** `/v1/ports/:name` → `/v1/ports/{name}`. */
export const templateOf = (path: string): string => path.replace(/:(\w+)/g, '{$1}')

function parametersOf({ path, query = [] }: Operation): Json[] {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const inQuery = query.flatMap((schema) => {
    const { properties = {}, required = [] } = schemaOf(schema) as { properties?: Record<string, Json>; required?: string[] }
    return Object.entries(properties).map(([name, of]) => ({ name, in: 'query', required: required.includes(name), schema: of }))
  })
  return [...inPath, ...inQuery]
}

const words = (path: string): string[] =>
  path
    .replace(/^\/v1/, '')
    .replace(/\.json$/, '')
    .split(/[^a-z]+/i)
    .filter((word) => word !== '')

/** `get` of `/v1/ports/:name` → `getPortsName`. */
const idOf = ({ method, path }: Operation): string =>
  method +
  words(path)
    .map((word) => word[0]!.toUpperCase() + word.slice(1))
    .join('')

function describe(operation: Operation): Json {
  const { summary, answer, status = 200, body, content = ['application/json'] } = operation
  const parameters = parametersOf(operation)
  return {
    operationId: idOf(operation),
    summary,
    tags: [words(operation.path)[0] ?? 'switch'],
    'x-required-role': operation.role,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body) } } } }),
    responses: {
      [status]: { description: answer, content: Object.fromEntries(content.map((type) => [type, {}])) },
      default: { $ref: '#/components/responses/Problem' },
    },
  }
}

/** The document. */
export function openApi(): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const operation of operations) {
    const template = templateOf(operation.path)
    paths[template] = { ...paths[template], [operation.method]: describe(operation) }
  }
  return {
    openapi: '3.1.0',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: {
      title: 'vmswitch control API',
      version: packageVersion(),
      description: 'Served on a unix socket for its owner; on the network, where asked for, with TLS and a token.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://vmswitch', description: 'The control socket: curl --unix-socket PATH http://vmswitch/v1/status' }],
    security: [{}, { token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      responses: {
        Problem: {
          description: 'An error with a stable code.',
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
      schemas: {
        Problem: {
          type: 'object',
          properties: { code: { type: 'string' }, message: { type: 'string' } },
          required: ['code', 'message'],
        },
      },
    },
  }
}
