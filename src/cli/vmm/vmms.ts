// The VMMs that `vmswitch qemu-args` knows.
import { cloudHypervisor } from './cloud-hypervisor.ts'
import { crosvm } from './crosvm.ts'
import { firecracker } from './firecracker.ts'
import { libkrun } from './libkrun.ts'
import { qemu } from './qemu.ts'
import type { Vmm } from './vmm.ts'

export const vmms = { qemu, 'cloud-hypervisor': cloudHypervisor, crosvm, firecracker, libkrun } as const satisfies Record<
  string,
  Vmm
>
export type VmmName = keyof typeof vmms
