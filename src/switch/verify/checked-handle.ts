// The switch's handle as the checking mode gives it to a module.
import type { PacketHandle, SwitchHandle, Timer } from '../../extension.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { checkControl } from './checked-control.ts'
import type { ModuleWatch } from './module-watch.ts'

/** Wraps `real`; what the table below does not name goes through as it is. */
export function checkHandle(real: SwitchHandle, watch: ModuleWatch): SwitchHandle {
  const mayOriginate = (call: string): void => {
    if (watch.state === 'attaching') watch.breach('ES-053', `${call}() in attach: a module that is attaching sends nothing`)
    else if (watch.state === 'paused' || watch.state === 'pausing')
      watch.breach('ES-055', `${call}() while the module is ${watch.state}`)
    else if (watch.state === 'detached') watch.breach('ES-055', `${call}() after the module was detached`)
  }
  const giveAway =
    (name: 'send' | 'indicate' | 'forward' | 'release') =>
    (packet: PacketHandle, reason?: number | string): number => {
      if (name === 'send' || name === 'indicate') mayOriginate(name)
      const status = name === 'release' ? real.release(packet, reason) : real[name](packet)
      watch.gaveAway(packet, name, status)
      return status
    }
  const forward = giveAway('forward')
  const checked: Partial<Record<keyof SwitchHandle, unknown>> = {
    originate(frame: Uint8Array): PacketHandle {
      mayOriginate('originate')
      const handle = real.originate(frame)
      watch.own(handle, 'originated')
      return handle
    },
    setSource(packet: PacketHandle, portId: number, nicIndex = 0): number {
      const status = real.setSource(packet, portId, nicIndex)
      if (status === NdisStatus.success) return status
      const own = watch.owned(packet)
      if (own === undefined) watch.gaveAway(packet, 'setSource', status)
      else if (own.kind === 'held') watch.breach('ES-371', "the source of a held packet was set: it is not the module's own")
      else {
        const wrong = watch.whatIsWrong(portId, nicIndex)
        if (wrong) watch.breach(wrong.state === 'unknown' ? 'ES-440' : 'ES-429', `${wrong.what}: it can be no source`)
      }
      return status
    },
    send: giveAway('send'),
    indicate: giveAway('indicate'),
    forward,
    forwardAll(packets: ArrayLike<PacketHandle>, count: number, from = 0): number {
      let status: number = NdisStatus.success
      for (let i = from; i < from + count; i++)
        if (forward(packets[i]!) !== NdisStatus.success) status = NdisStatus.invalidParameter
      return status
    },
    release: giveAway('release'),
    every(intervalMs: number, callback: () => void): () => void {
      return real.every(intervalMs, () => watch.during('timer', callback))
    },
    timer(callback: () => void): Timer {
      return real.timer(() => watch.during('timer', callback))
    },
    registerReason(reason: string): number {
      if (watch.state !== 'attaching' && watch.where !== 'timer' && watch.where !== 'oid' && watch.where !== '')
        watch.breach('ES-363', `registerReason("${reason}") for each batch: register reasons once, in attach`)
      return real.registerReason(reason)
    },
  }
  Object.assign(checked, checkControl(real, watch))
  return new Proxy(real, {
    get(target, property) {
      const own = checked[property as keyof SwitchHandle]
      if (own !== undefined) return own
      return Reflect.get(target, property, target)
    },
  })
}
