// The control half of a module's handle where a test has no control side: everything is refused.
import { type ControlHandle, NdisStatus } from '../../src/extension.ts'

const refuse = (): number => NdisStatus.notSupported

export const refusingControl: ControlHandle = {
  request: async () => ({ status: NdisStatus.notSupported }),
  query: async () => ({ status: NdisStatus.notSupported }),
  indicateStatus: refuse,
  referencePort: refuse,
  dereferencePort: refuse,
  referenceNic: refuse,
  dereferenceNic: refuse,
}
