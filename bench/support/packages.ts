// The distribution's packages that a benchmark uses, installed where they are missing and the machine's owner agrees.
interface SystemPackages {
  readonly ensurePackages: (names: readonly string[], options: { why: string }) => Promise<{ missing: string[] }>
}

/** Makes sure that packages of `scripts/system-packages.mjs` are there; returns those that are not. */
export async function ensurePackages(names: readonly string[]): Promise<readonly string[]> {
  const { href } = new URL('../../scripts/system-packages.mjs', import.meta.url)
  const { ensurePackages: ensure } = (await import(href)) as SystemPackages
  return (await ensure(names, { why: 'the benchmark' })).missing
}
