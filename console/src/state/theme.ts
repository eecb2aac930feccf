// Dark or light: what the person chose, else what the system has.
import { useEffect, useState } from 'preact/hooks'

export type Theme = 'dark' | 'light'

const KEY = 'vmswitch-theme'
const system = matchMedia('(prefers-color-scheme: dark)')
const listeners = new Set<(theme: Theme) => void>()

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(KEY)
    return value === 'dark' || value === 'light' ? value : null
  } catch {
    return null // storage is switched off
  }
}

let chosen = stored()

export const themeNow = (): Theme => chosen ?? (system.matches ? 'dark' : 'light')

function show(): void {
  document.documentElement.dataset.theme = themeNow()
  for (const listener of listeners) listener(themeNow())
}

export function startTheme(): void {
  system.addEventListener('change', show)
  show()
}

export function switchTheme(): void {
  chosen = themeNow() === 'dark' ? 'light' : 'dark'
  try {
    localStorage.setItem(KEY, chosen)
  } catch {
    // It holds for this page then.
  }
  show()
}

export function useTheme(): Theme {
  const [theme, setTheme] = useState(themeNow())
  useEffect(() => {
    listeners.add(setTheme)
    return () => {
      listeners.delete(setTheme)
    }
  }, [])
  return theme
}
