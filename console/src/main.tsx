// Where the page begins.
import './base.css'
import { render } from 'preact'
import { App } from './app.tsx'
import { start } from './state/live.ts'
import { startTheme } from './state/theme.ts'

startTheme()
void start()
const root = document.getElementById('console')
if (root !== null) render(<App />, root)
