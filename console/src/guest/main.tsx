// Where the page of the guest begins.
import '../base.css'
import { render } from 'preact'
import { startTheme } from '../state/theme.ts'
import { GuestPage } from './guest-page.tsx'

startTheme()
const root = document.getElementById('guest')
if (root !== null) render(<GuestPage />, root)
