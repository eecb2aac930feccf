import { scripted } from './script.ts'

export default scripted('forwarding', '5c21b7ed-0000-4000-8000-000000000003')
