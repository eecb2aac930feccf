// Carrying a change of a property out: what the switch refuses is told beside the form.
import { useState } from 'preact/hooks'
import { textOf } from '../state/api.ts'
import { refresh } from '../state/live.ts'
import { tell } from '../state/store.ts'

export interface Change {
  /** What was refused; '': nothing. */
  readonly refused: string
  forget(): void
  /** Answers whether it was done. */
  carryOut(work: () => Promise<unknown>, done: string): Promise<boolean>
}

/** `onDone`: looks at the properties again. */
export function useChange(onDone: () => void): Change {
  const [refused, setRefused] = useState('')
  return {
    refused,
    forget: () => setRefused(''),
    carryOut: async (work, done) => {
      try {
        await work()
      } catch (error) {
        setRefused(textOf(error))
        return false
      }
      setRefused('')
      tell('good', done)
      onDone()
      await refresh()
      return true
    },
  }
}
