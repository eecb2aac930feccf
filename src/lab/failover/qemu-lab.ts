// A failover lab with a real guest: Linux under QEMU with the two cards that its own net_failover pairs, a virtio card and a PCI function
// that igbvf drives. The peer is a software guest; what it measures are round trips through the guest's kernel.
//
// The rule it must not break: guest, peer and switch are gone when it returns, however it does.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { VfPlug } from '../../engine/adapters/switch-adapters.ts'
import type { AcceleratorChoice } from '../accelerator.ts'
import { reapLeftovers } from '../children.ts'
import { LabError } from '../errors.ts'
import type { GuestImage } from '../images.ts'
import { driveFunction, pairedCards } from '../paired-cards.ts'
import { QemuGuest } from '../qemu.ts'
import { Path } from './numbered-frames.ts'
import type { FailoverPlan } from './plan-failover.ts'
import { type FailoverResult, runFailover } from './run-failover.ts'
import { SoftwareGuests } from './software-guests.ts'
import type { SoftwareLabComponents } from './software-lab.ts'

/** What the guest runs on. */
export interface QemuLabGround {
  /** A QEMU that speaks vfio-user. */
  readonly program: string
  /** With a kernel that has igbvf. */
  readonly image: GuestImage
  readonly choice: AcceleratorChoice
}

const BOOT_TIMEOUT_MS = 180_000
const COMMAND_TIMEOUT_MS = 60_000
const IGBVF_DEVICE = '0x10ca'

/** Throws a LabError if a guest can't be started or fails. */
export async function runQemuLab(
  plan: FailoverPlan,
  { program, image, choice }: QemuLabGround,
  components: SoftwareLabComponents,
): Promise<FailoverResult> {
  const { write, interrupt } = components
  const { run, guest: card, peer } = plan
  const runDirectory = join(plan.config.runtime.directory, 'guests')
  await mkdir(runDirectory, { recursive: true, mode: 0o700 })
  for (const name of reapLeftovers(runDirectory)) write(`${name}: left over from an earlier run, ended`)
  const guest = new QemuGuest({
    name: run.port,
    image,
    runDirectory,
    accelerator: choice.accelerator,
    memoryMiB: plan.memoryMiB,
    nics: [],
    program,
    bootTimeoutMs: BOOT_TIMEOUT_MS,
    extraArguments: pairedCards(card.options.mac, card.path, plan.functionPath),
  })
  const peers = new SoftwareGuests()
  const plug = new DriverPlug(guest)
  const log: SoftwareLabComponents['log'] = (event) => {
    const { source, code } = event
    components.log(event)
    if (source !== `port ${run.port}`) return
    if (code === 'vf-active' || code === 'vf-inactive')
      peers.tellPath(code === 'vf-active' ? Path.vf : Path.synthetic).catch(() => undefined)
  }
  try {
    const running = await components.createSwitch(plug, log)
    try {
      await peers.start(peer.options, peer.path)
      write(`${run.port}: booting on ${choice.accelerator === 'kvm' ? 'KVM' : 'an emulated processor'} (${choice.reason})`)
      await guest.start()
      await guest.ready()
      await guest.check(driveFunction(`${card.options.address}/24`))
      plug.isUp = true
      write(`${run.port}: up after ${(guest.bootMs / 1000).toFixed(1)} s`)
      const { mac, address } = card.options
      return await runFailover(run, {
        adapters: running.adapters,
        drops: () => running.drops(),
        write,
        interrupt,
        guests: {
          kind: 'qemu',
          startLoad: (name, other, options) => peers.startLoad(name, other, options, { mac, address }),
          finishLoad: () => peers.finishLoad(),
        },
      })
    } finally {
      await peers.close()
      await guest.stop()
      await running.close()
    }
  } finally {
    await peers.close()
    await guest.stop()
  }
}

/** The guest lets its function go by unbinding the driver, which works with every QEMU. */
class DriverPlug implements VfPlug {
  isUp = false
  readonly #guest: QemuGuest

  constructor(guest: QemuGuest) {
    this.#guest = guest
  }

  plug(): Promise<void> {
    return this.#drive('[ -d "$device/driver" ] || echo "$(basename $device)" >/sys/bus/pci/drivers/igbvf/bind')
  }

  unplug(): Promise<void> {
    return this.#drive('[ ! -d "$device/driver" ] || echo "$(basename $device)" >/sys/bus/pci/drivers/igbvf/unbind')
  }

  async #drive(what: string): Promise<void> {
    if (!this.isUp) return
    const find = `for device in /sys/bus/pci/devices/*; do [ "$(cat $device/device)" = ${IGBVF_DEVICE} ] && break; done`
    const { code, output } = await this.#guest.run(`${find}; ${what}`, { timeoutMs: COMMAND_TIMEOUT_MS })
    if (code !== 0) throw new LabError('program-failed', `the guest's driver did not follow: ${output.trim()}`)
  }
}
