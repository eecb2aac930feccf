import { behave } from './behaviour.ts'

export default behave('forwarding', '0c0ffee0-0000-4000-8000-000000000003')
