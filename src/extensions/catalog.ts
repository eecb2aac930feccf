// The in-box extensions by the name under which a configuration uses them. Each is a module of its own, imported when it is used.

/** Module URLs by name: what `use: capture` stands for. */
export const inBoxExtensionUrls = {
  capture: new URL('./capture/index.ts', import.meta.url).href,
  counters: new URL('./counters/index.ts', import.meta.url).href,
  acl: new URL('./acl/index.ts', import.meta.url).href,
  'dhcp-dns': new URL('./dhcp-dns/index.ts', import.meta.url).href,
  firewall: new URL('./firewall/index.ts', import.meta.url).href,
  'flow-export': new URL('./flow-export/index.ts', import.meta.url).href,
  impairment: new URL('./impairment/index.ts', import.meta.url).href,
  'mac-guard': new URL('./mac-guard/index.ts', import.meta.url).href,
  'learning-forward': new URL('./learning-forward/index.ts', import.meta.url).href,
} as const

export type InBoxExtensionName = keyof typeof inBoxExtensionUrls

/** The names, sorted. */
export const inBoxExtensionNames = Object.keys(inBoxExtensionUrls).sort() as readonly InBoxExtensionName[]

/** The module URL of an in-box extension, or undefined if there is none of that name. */
export const inBoxExtensionUrl = (name: string): string | undefined =>
  Object.hasOwn(inBoxExtensionUrls, name) ? inBoxExtensionUrls[name as InBoxExtensionName] : undefined
