// The page of a service on the network before it is given a token, and who looks once it was.
//
// The rule it must not break: a token is tried once, when somebody says so; who came with too many wrong ones is told how long to wait.
import './sign-in.css'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { Logo } from './parts/logo.tsx'
import { ApiError, textOf } from './state/api.ts'
import { enter } from './state/live.ts'
import { useStore } from './state/store.ts'
import { forgetToken, keptToken } from './state/token.ts'

const UNKNOWN = 401
const SECOND_MS = 1000
/** What a header carries. */
const TOKEN = /^[\x21-\x7e]+$/

export function SignIn({ why }: { readonly why: string }) {
  const [token, setToken] = useState('')
  const [problem, setProblem] = useState(why)
  const [waitSeconds, setWait] = useState(0)
  const [asking, setAsking] = useState(false)
  const input = useRef<HTMLInputElement>(null)
  const id = useId()
  useEffect(() => input.current?.focus(), [])
  useEffect(() => {
    if (waitSeconds === 0) return
    const timer = setTimeout(() => setWait(waitSeconds - 1), SECOND_MS)
    return () => clearTimeout(timer)
  }, [waitSeconds])
  const refused = (error: unknown): void => {
    const code = error instanceof ApiError ? error.status : 0
    if (error instanceof ApiError) setWait(error.waitSeconds)
    setProblem(code === UNKNOWN ? 'The service does not know this token.' : textOf(error))
    input.current?.select()
  }
  const signIn = async (event: Event): Promise<void> => {
    event.preventDefault()
    if (!TOKEN.test(token)) {
      setProblem('This is no token: it has letters, digits and signs, and no space between them.')
      return
    }
    setAsking(true)
    await enter(token).catch(refused)
    setAsking(false)
  }
  const text = waitSeconds > 0 ? `Too many wrong tokens came from here: try again in ${waitSeconds} s.` : problem
  return (
    <main class="sign-in">
      <form onSubmit={(event) => void signIn(event)} aria-labelledby={`${id}-title`}>
        <h1 id={`${id}-title`}>
          <Logo /> vmswitch
        </h1>
        <label for={id}>Token</label>
        <input
          ref={input}
          id={id}
          name="token"
          type="password"
          value={token}
          autoComplete="off"
          spellcheck={false}
          aria-invalid={text !== ''}
          aria-describedby={`${id}-hint`}
          onInput={(event) => {
            setToken(event.currentTarget.value.trim())
            setProblem('')
          }}
        />
        <p class="problem" role="alert">
          {text}
        </p>
        <button type="submit" class="primary" disabled={token === '' || asking || waitSeconds > 0}>
          Sign in
        </button>
        <p class="hint" id={`${id}-hint`}>
          The token that you were given: <code>vmswitch token add</code> printed it, on the machine of the switch. It is kept
          until this tab is closed.
        </p>
      </form>
    </main>
  )
}

/** Who looks, where somebody signed in. */
export function SignedIn() {
  const caller = useStore((state) => state.caller)
  if (caller === null || keptToken() === null) return null
  const signOut = (): void => {
    forgetToken()
    location.reload()
  }
  return (
    <p class="signed-in">
      <span>
        {caller.name} <small>{caller.role}</small>
      </span>
      <button type="button" class="small" onClick={signOut}>
        Sign out
      </button>
    </p>
  )
}
