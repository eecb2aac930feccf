// Tells the control side that a guest's adapter goes on with the address of another one of its team: once, and again only after the
// port table has changed, whatever the guest sends meanwhile.
import type { PortTable } from './port-table.ts'

/** Fields are ordinary ones: it may be asked per packet. */
export class FailoverNotice {
  /** Told of the port and the address, as MacKey words. */
  told: ((port: number, low: number, high: number) => void) | undefined
  private readonly ports: PortTable
  private port = 0
  private low = 0
  private generation = -1

  constructor(ports: PortTable) {
    this.ports = ports
  }

  tell(port: number, low: number, high: number): void {
    const { generation } = this.ports
    if (this.port === port && this.low === low && this.generation === generation) return
    this.port = port
    this.low = low
    this.generation = generation
    this.told?.(port, low, high)
  }
}
