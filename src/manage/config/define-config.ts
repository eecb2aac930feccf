// The entry for configurations written in TypeScript: gives an editor the type to check against and returns what it is given.
import type { Config } from './types.ts'

/** Marks a plain object as a configuration: `export default defineConfig({ switch: { … } })`. */
export const defineConfig = (config: Config): Config => config
