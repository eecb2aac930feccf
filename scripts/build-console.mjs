// Builds the web console (console/) into .cache/console, and its page for guests in the browser into .cache/console-guest: static files, which
// the service serves. A second or two. They are two builds, so that who opens the console fetches nothing of an emulator.
import { copyFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

const pages = [
  { input: 'console/index.html', outDir: '.cache/console', base: '/console/' },
  { input: 'console/guest.html', outDir: '.cache/console-guest', base: '/console/guest/' },
]

for (const { input, outDir, base } of pages)
  await build({
    configFile: false,
    logLevel: 'warn',
    root: here('console'),
    base,
    // Without this the build would look for settings of other tools above the project.
    css: { postcss: {} },
    build: {
      outDir: here(outDir),
      emptyOutDir: true,
      target: 'es2022',
      modulePreload: { polyfill: false },
      // Files, never data in the page: the page's rules allow scripts and styles of its own origin only.
      assetsInlineLimit: 0,
      reportCompressedSize: false,
      // The emulator is one piece.
      chunkSizeWarningLimit: 1024,
      // What the emulator loads where it runs outside of browsers.
      rolldownOptions: { input: here(input), external: /^(node:.*|fs|crypto|perf_hooks)$/ },
    },
  })

// The emulator's licence goes where its code goes.
copyFileSync(here('node_modules/v86/LICENSE'), here('.cache/console-guest/LICENSE.v86'))
