// How the schema of an answer is written: tied to the type that the code answers with, so that neither changes without the other.
//
// The rule it must not break: what is registered here is in the document under its name, and says neither more nor less than its type.
import { z } from 'zod'

/** All answers that have a name of their own in the document. */
export const answerRegistry = z.registry<{ readonly id: string }>()

/** A type without what makes no difference in JSON: read-only members, and members that may also be there as undefined. */
type Bare<T> = T extends readonly (infer Item)[]
  ? Bare<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Bare<Exclude<T[Key], undefined>> }
    : T
type Within<A, B> = [Bare<A>] extends [Bare<B>] ? true : false
type Proof<A, B> = [Within<A, B>, Within<B, A>] extends [true, true]
  ? []
  : [problem: 'the schema does not say what the type says']

/** The schema of an answer of type `T`, called `id` in the document. It does not compile where the two differ. */
export const answerOf =
  <T>() =>
  <S extends z.ZodType>(id: string, schema: S, ..._proof: Proof<z.output<S>, T>): S => {
    answerRegistry.add(schema, { id })
    return schema
  }

/** A count, a number of bytes, an identifier: never negative. */
export const count = z.number().min(0)
export const counts = z.record(z.string(), z.number())
/** What a module or an endpoint tells of itself: its members are its own. */
export const details = z.record(z.string(), z.unknown())
export const upDown = z.enum(['up', 'down'])
export const texts = z.array(z.string())
