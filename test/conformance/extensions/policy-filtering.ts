import { policyExtension } from './policy.ts'

export default policyExtension('filtering', '0d3c1f9f-000a-4c56-9b7e-7b0b6d0e5f02')
