// Builds the web console (console/) into .cache/console: static files, which the service serves. A second or two.
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

await build({
  configFile: false,
  logLevel: 'warn',
  root: here('console'),
  base: '/console/',
  // Without this the build would look for settings of other tools above the project.
  css: { postcss: {} },
  build: {
    outDir: here('.cache/console'),
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    // Files, never data in the page: the page's rules allow scripts and styles of its own origin only.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
})
