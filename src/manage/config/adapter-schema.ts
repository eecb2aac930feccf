// SR-IOV in the configuration: adapters, and what a port wants of one.
import { z } from 'zod'
import { RATE_MAX_MBPS } from '../../adapter/rate-limits.ts'
import { name, queueCount, socketPath, wireSchema } from './endpoint-schema.ts'
import { IOV_WEIGHT_MAX, MTU_MIN, PROCESSORS_MAX, REBALANCE_SECONDS_MAX, VF_MTU_MAX, VFS_MAX, VM_QUEUES_MAX } from './limits.ts'
import { macPattern } from './patterns.ts'

export const adapterSchema = z.strictObject({
  name: name.describe('Name of the adapter.'),
  mode: z
    .enum(['sriov', 'vmq'])
    .optional()
    .describe('sriov (default): guests get virtual functions; vmq: they get receive queues. An adapter has one or the other.'),
  mac: z
    .string()
    .regex(macPattern)
    .optional()
    .describe('MAC address of the physical function. Without it, one that follows from the names of switch and adapter.'),
  uplink: wireSchema
    .optional()
    .describe(
      'What the physical port is connected to. Without it: nothing; virtual functions and the switch reach each other only.',
    ),
  vfs: z.number().int().min(0).max(VFS_MAX).default(0).describe('Virtual functions of the adapter; none in mode vmq.'),
  queues: z
    .number()
    .int()
    .min(1)
    .max(VM_QUEUES_MAX)
    .optional()
    .describe('Mode vmq: VM queues, beside the default queue that serves the rest. Default: 16.'),
  baseProcessor: z
    .number()
    .int()
    .min(0)
    .max(PROCESSORS_MAX - 1)
    .optional()
    .describe('Mode vmq: the first processor of the switch that serves queues. Default: 0.'),
  maxProcessors: z
    .number()
    .int()
    .min(1)
    .max(PROCESSORS_MAX)
    .optional()
    .describe('Mode vmq: processors that serve queues, from the first on. Default: all that follow.'),
  rebalanceSeconds: z
    .number()
    .int()
    .min(0)
    .max(REBALANCE_SECONDS_MAX)
    .optional()
    .describe(
      'Mode vmq: seconds between two looks at the load, after which a queue may change its processor; 0: never. Default: 10.',
    ),
  mtu: z
    .number()
    .int()
    .min(MTU_MIN)
    .max(VF_MTU_MAX)
    .default(1500)
    .describe('MTU of the physical port and of virtual functions, in bytes.'),
  speedMbps: z
    .number()
    .int()
    .min(0)
    .max(RATE_MAX_MBPS)
    .default(0)
    .describe('Speed of the physical port in Mbit/s, which minimum rates share; 0: not known.'),
  order: z
    .enum(['deferred', 'strict'])
    .default('deferred')
    .describe(
      "When a guest's filters move to its virtual function: deferred, when its driver runs; strict, before it sees the function.",
    ),
})

export const iovSchema = z.strictObject({
  weight: z
    .number()
    .int()
    .min(0)
    .max(IOV_WEIGHT_MAX)
    .default(IOV_WEIGHT_MAX)
    .describe('0: no virtual function; else one where the adapter has one left, the highest weights first.'),
  form: z
    .enum(['vfio-user', 'vhost-user'])
    .default('vfio-user')
    .describe('vfio-user: a PCI function that the guest drives with igbvf; vhost-user: a virtio network card.'),
  path: socketPath
    .optional()
    .describe('Unix socket that the VMM connects to for the virtual function. Default: NAME-vf.sock in the runtime directory.'),
  queuePairs: queueCount.default(1).describe('Queue pairs of the virtual function.'),
  trusted: z
    .boolean()
    .default(false)
    .describe('Let the guest choose other MAC addresses and receive what is not addressed to it.'),
  requireSeals: z
    .boolean()
    .default(true)
    .describe('Refuse guest memory whose file could be truncated under the switch (no F_SEAL_SHRINK).'),
  qmp: socketPath
    .optional()
    .describe(
      "QMP socket of the guest's QEMU: the function is plugged and unplugged through it. Without it, it is there from the start.",
    ),
})
