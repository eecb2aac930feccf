// What a service keeps: the switch as it is to be, and the settings of virtual functions that were made over the API.
//
// The rule it must not break: everything here survives JSON, and every property has its instance, so that what is stored and what runs
// can be told to be the same.
import { randomUUID } from 'node:crypto'
import type { VfWords } from '../../adapter/linux-words.ts'
import type { PropertyInput } from '../../switch/policies/property.ts'
import type { ResolvedConfig, ResolvedPort } from '../config/types.ts'
import type { KeptState } from './kept.ts'

/** Settings of one VF, in the words of `ip link set … vf N …`. */
export interface StoredVf {
  readonly adapter: string
  readonly vf: number
  readonly words: VfWords
}

/** The state of a service. */
export interface StoredState {
  readonly config: ResolvedConfig
  readonly vfs: readonly StoredVf[]
  /** What was done to the switch while it ran; nothing without it. */
  readonly kept?: KeptState
}

/** Without what JSON does not carry: members that are undefined. */
export const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

const identified = (property: PropertyInput): PropertyInput =>
  property.instance === undefined ? { ...property, instance: randomUUID() } : property

/** The port with an instance for each of its properties. */
export const identifiedPort = (port: ResolvedPort): ResolvedPort =>
  port.properties === undefined ? port : { ...port, properties: port.properties.map(identified) }

/** The configuration with an instance for each property. Guests of labs are no part of a service and left out. */
export function identifiedConfig(config: ResolvedConfig): ResolvedConfig {
  const { properties, ports } = config.switch
  return plain({
    ...config,
    switch: {
      ...config.switch,
      ports: ports.map(identifiedPort),
      ...(properties === undefined ? {} : { properties: properties.map(identified) }),
    },
    guests: [],
  })
}

/** The state with another list of ports. */
export const withPorts = (state: StoredState, ports: readonly ResolvedPort[]): StoredState => ({
  ...state,
  config: { ...state.config, switch: { ...state.config.switch, ports } },
})
