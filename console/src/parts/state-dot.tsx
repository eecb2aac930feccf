// The state of a port in one dot and one word.
import './state-dot.css'
import type { LivePort } from '../../../src/manage/live/live-view.ts'

export type Tone = 'good' | 'warn' | 'bad' | 'idle'

export function portState({ link, connected }: Pick<LivePort, 'link' | 'connected'>): {
  readonly tone: Tone
  readonly word: string
} {
  if (link === 'down') return { tone: 'bad', word: 'link down' }
  return connected ? { tone: 'good', word: 'connected' } : { tone: 'idle', word: 'waiting for its guest' }
}

export const Dot = ({ tone }: { readonly tone: Tone }) => <span class={`dot ${tone}`} aria-hidden="true" />
