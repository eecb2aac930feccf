// What guests in browsers boot, for tests: from the cache, or fetched.
import { fileURLToPath } from 'node:url'
import { type BrowserImage, ensureBrowserImage } from '../../src/lab/browser-image.ts'
import { LabError } from '../../src/lab/errors.ts'

const cacheDirectory = fileURLToPath(new URL('../../.cache', import.meta.url))

/** The image, or why there is none here. */
export async function browserImage(): Promise<{ readonly folder: string; readonly image: BrowserImage } | string> {
  try {
    return await ensureBrowserImage({ cacheDirectory }, { progress: () => {} })
  } catch (error) {
    if (!(error instanceof LabError)) throw error
    return `there is no image for guests in browsers: ${error.message}`
  }
}
