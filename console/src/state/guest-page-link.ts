// The way from the page of a guest to the console's sign-in, and back to that page.
//
// The rule it must not break: whatever an address says, it leads to the page of a guest.

const GUEST = 'guest'

/** The console's page, which asks for a token; `search`: what the guest's page had in its address behind its path. */
export const signInFirst = (search: string): string => `/console/?${new URLSearchParams({ [GUEST]: search })}`

/** Where somebody wanted to be who had to sign in; null: at the console. `search`: of the console's address. */
export function awaitedGuestPage(search: string): string | null {
  const wanted = new URLSearchParams(search).get(GUEST)
  return wanted === null ? null : `/console/guest/?${new URLSearchParams(wanted)}`
}
