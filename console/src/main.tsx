// Where the page begins.
import { render } from 'preact'
import { App } from './app.tsx'
import { start } from './state/live.ts'
import { startTheme } from './state/theme.ts'
import './style.css'

startTheme()
start()
const root = document.getElementById('console')
if (root !== null) render(<App />, root)
