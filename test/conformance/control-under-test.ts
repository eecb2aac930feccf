// A switch with scripted extensions for tests of the control path: what each module saw and did, as lines "NAME: text".

import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { EndpointConfig } from '../../src/engine/endpoint-factory.ts'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import type { SwitchConfig } from '../../src/engine/host.ts'
import type { EdgeComponents } from '../../src/switch/control.ts'
import type { Command, Script } from './extensions/script.ts'
import { SwitchUnderTest } from './switch-under-test.ts'

export interface ScriptUse extends Omit<Script, 'name'> {
  readonly enabled?: boolean
  readonly required?: boolean
  readonly onFailure?: 'open' | 'closed'
}

/** A scripted extension; its name begins with its class: C… capturing, F… filtering, X… forwarding. */
export function script(
  name: string,
  { enabled = true, required = true, onFailure = 'open', ...options }: ScriptUse = {},
): ExtensionEntry {
  const extensionClass = { C: 'capturing', F: 'filtering', X: 'forwarding' }[name[0]!]
  const file = fileURLToPath(new URL(`./extensions/script-${extensionClass}.ts`, import.meta.url))
  return { name, file, enabled, required, onFailure, options: { name, ...options } }
}

export interface ControlOptions {
  readonly extensions?: readonly ExtensionEntry[]
  readonly ports?: number
  readonly type?: SwitchConfig['type']
  readonly limits?: SwitchConfig['limits']
  readonly edge?: EdgeComponents
  /** The checking mode. */
  readonly verify?: boolean
}

export const memory: EndpointConfig = { kind: 'memory' }

export class ControlUnderTest {
  readonly sut: SwitchUnderTest

  private constructor(sut: SwitchUnderTest) {
    this.sut = sut
  }

  static async start(t: TestContext, options: ControlOptions = {}): Promise<ControlUnderTest> {
    return new ControlUnderTest(await SwitchUnderTest.start(t, { type: 'external', ports: 1, ...options }))
  }

  /** Has a module do something, through the friendly name of port 1; the module's lines follow. */
  async tell(module: string, ...commands: readonly Command[]): Promise<void> {
    this.#told++
    await this.sut.switch.updatePort('p1', `${module}: ${JSON.stringify(commands)}${' '.repeat(this.#told)}`)
  }
  #told = 0

  /** Lines that a module logged since the last call, from the first that begins with `from` on; waits for it. */
  async lines(module: string, from: string): Promise<string[]> {
    await this.sut.heard(() => this.#fresh(module).some((line) => line.startsWith(from)), `${module} to say "${from}"`)
    const lines = this.#fresh(module)
    this.#read.set(module, this.sut.log.length)
    return lines
  }
  readonly #read = new Map<string, number>()

  #fresh(module: string): string[] {
    return this.sut.log
      .slice(this.#read.get(module) ?? 0)
      .filter(({ source, code }) => code === 'log' && source === `extension ${module}`)
      .map(({ message }) => message)
  }

  /** The line that a module says next beginning with `from`. */
  async line(module: string, from: string): Promise<string> {
    return (await this.lines(module, from)).find((line) => line.startsWith(from))!
  }

  /** OIDs that a module saw about a port or adapter of this name, in order. */
  oids(module: string, name: string): string[] {
    return this.sut.log
      .filter(({ source, code, message }) => code === 'log' && source === `extension ${module}` && message.startsWith('oid '))
      .map(({ message }) => message.split(' '))
      .filter(([, , subject]) => subject?.split('/')[0]?.split('.')[0] === name)
      .map(([, oid, subject]) => (subject!.includes('/') ? `${oid} ${subject!.split('/')[1]}` : oid!))
  }

  /** Payloads of an OID that a module showed, in order. */
  payloads<Payload = Record<string, unknown>>(module: string, oid: string): Payload[] {
    const start = `payload ${oid} `
    return this.sut.log
      .filter(({ source, message }) => source === `extension ${module}` && message.startsWith(start))
      .map(({ message }) => JSON.parse(message.slice(start.length)) as Payload)
  }

  /** Rule numbers that a module was reported under. */
  breaches(module: string): string[] {
    return this.sut.log
      .filter(({ source, code }) => source === `extension ${module}` && /^ES-\d+$/.test(code))
      .map(({ code }) => code)
  }
}
