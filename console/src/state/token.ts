// The token of who looks, where the service wants one in each request: on the network. It is asked for by the page.
//
// The rule it must not break: it is kept for this tab alone and gone with it; it stands in no address, no cookie, nothing that lasts.

const KEY = 'vmswitch-token'

export const keptToken = (): string | null => sessionStorage.getItem(KEY)

export const keepToken = (token: string): void => sessionStorage.setItem(KEY, token)

export const forgetToken = (): void => sessionStorage.removeItem(KEY)

/** As a request carries it. */
export const bearer = (token: string | null): Readonly<Record<string, string>> =>
  token === null ? {} : { authorization: `Bearer ${token}` }
