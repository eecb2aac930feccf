// The wasm module of the burst kernels: exactly the functions of Kernels (kernels.ts), for rings in linear memory.
//
// The rule it must not break: it holds no data in linear memory. Every thread instantiates it over the same memory; what it notes
// down stands in wasm globals, which are per instance, or in the caller's pool.
export { classify } from './classify.as'
export { copyFrame } from './copy.as'
export { fillKeys } from './flow-keys.as'
export { follow } from './follow.as'
export { checksum } from './checksum.as'
export { direct } from './direct.as'
export { clearSpan, copyDestination, copyPackets, describeRun, takeRun } from './keep.as'
export { arm, disarm } from './notify.as'
export { giveFrames, takeFrames } from './packet-ring.as'
export { parse } from './parse.as'
export { deliver } from './receive.as'
export { segment } from './segment.as'
export { aim, aimEach, alike, assign } from './queued.as'
export { complete, dequeue } from './transmit.as'
export { admit, forward, sort } from './switching.as'
export { form, unform } from './tag-forms.as'
export { claim, strays } from './tunnel.as'
export { encapsulate } from './encapsulate.as'
export { decapsulate } from './decapsulate.as'
