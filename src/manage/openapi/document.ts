// The OpenAPI 3.1 document of the control API, from the schemas by which requests are checked, and from those of answers.
import { z } from 'zod'
import { problemStatus } from '../control/control-errors.ts'
import { packageVersion } from '../switch-host.ts'
import { type AnswerName, type AnswerWords, answers } from './answers/answers.ts'
import { answerRegistry } from './answers/define.ts'
import { type JsonSchema, listOf, nullOr, oneOf, pageOf, problemOf, refTo } from './json-schemas.ts'
import { operationErrors } from './operation-errors.ts'
import { type Operation, operations } from './operations.ts'

const plainSchema = ({ $schema: _, $id: __, ...rest }: JsonSchema): JsonSchema => rest

const inputSchema = (schema: z.ZodType): JsonSchema =>
  plainSchema(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema)

/** `/v1/ports/:name` → `/v1/ports/{name}`. */
export const templateOf = (path: string): string => path.replace(/:(\w+)/g, '{$1}')

function parametersOf({ path, query = [] }: Operation): JsonSchema[] {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const inQuery = query.flatMap((schema) => {
    const { properties = {}, required = [] } = inputSchema(schema) as {
      properties?: Record<string, JsonSchema>
      required?: string[]
    }
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

/** The schema of an answer; null for bytes, which have none. Throws where a name has no schema. */
function answerSchema(answer: AnswerWords, paged: boolean): JsonSchema | null {
  if (answer === 'bytes') return null
  if (answer === 'text') return { type: 'string' }
  if (answer === 'OpenAPI') return { type: 'object', required: ['openapi', 'info', 'paths'] }
  const [, name = '', rest] = /^(\w+)(.*)$/.exec(answer) ?? []
  if (!Object.hasOwn(answers, name))
    throw new Error(`"${answer}" has no schema: write one in src/manage/openapi/answers, and add it to answers.ts`)
  const one = refTo(name as AnswerName)
  if (rest === ' | null') return nullOr(one)
  if (rest !== '[]') return one
  return paged ? oneOf(listOf(one), pageOf(one)) : listOf(one)
}

function responsesOf(operation: Operation): JsonSchema {
  const { answer, status = 200, body, query, paged = false, content = ['application/json'], method, path, role } = operation
  const schema = answerSchema(answer, paged)
  const errors = operationErrors({ method, path, checked: (body ?? query) !== undefined, looks: role === 'reader' })
  return {
    [status]: {
      description: paged ? `${answer}; with limit or after: a page of them` : answer,
      content: Object.fromEntries(content.map((type) => [type, schema === null ? {} : { schema }])),
    },
    ...Object.fromEntries(
      [...errors].map(([of, codes]) => [
        of,
        { description: codes.join(', '), content: { 'application/json': { schema: problemOf(codes) } } },
      ]),
    ),
    default: { $ref: '#/components/responses/Problem' },
  }
}

function describe(operation: Operation): JsonSchema {
  const { summary, body } = operation
  const parameters = parametersOf(operation)
  return {
    operationId: idOf(operation),
    summary,
    tags: [words(operation.path)[0] ?? 'switch'],
    'x-required-role': operation.role,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: inputSchema(body) } } } }),
    responses: responsesOf(operation),
  }
}

function answerSchemas(): Record<string, JsonSchema> {
  const { schemas } = z.toJSONSchema(answerRegistry, {
    io: 'output',
    unrepresentable: 'any',
    uri: (id) => `#/components/schemas/${id}`,
  })
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, plainSchema(schema as JsonSchema)]))
}

/** Codes that any operation may be refused with, and what they say of the caller or the server. */
const anywhere = ['no-such-route', 'not-permitted', 'too-many-attempts', 'too-large', 'internal']

/** The document. */
export function openApi(): JsonSchema {
  const paths: Record<string, Record<string, JsonSchema>> = {}
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
          description: `An error with a stable code. Any operation: ${anywhere.map((code) => `${code} (${problemStatus(code)})`).join(', ')}; codes of the machine (EACCES) have status 422.`,
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
      schemas: { Problem: problemOf(), ...answerSchemas() },
    },
  }
}
