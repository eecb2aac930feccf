// The forms of policies: their fields, what is wrong with what was typed, and the value that the API takes.
//
// The rule it must not break: what is refused here the switch would refuse too; what passes here it checks again.

export interface Field {
  readonly key: string
  readonly label: string
  readonly kind: 'flag' | 'number' | 'text' | 'choice'
  readonly hint?: string
  readonly choices?: readonly string[]
  readonly min?: number
  readonly max?: number
  /** Shown only where another field has one of these values. */
  readonly when?: readonly [key: string, values: readonly string[]]
}

/** What was typed: all of it text, flags 'true' or ''. */
export type Typed = Readonly<Record<string, string>>

export interface PolicyForm {
  readonly type: 'vlan' | 'security' | 'protection' | 'isolation' | 'bandwidth'
  readonly title: string
  readonly about: string
  readonly fields: readonly Field[]
}

const VLAN_MAX = 4094
const VIRTUAL_SUBNET_MAX = 0xffffff
const virtualSubnets = ['native-virtual-subnet', 'external-virtual-subnet'] as const
const RANGES = 'such as 10, 20-29'
const pvlan = ['isolated', 'community', 'promiscuous'] as const

export const forms: readonly PolicyForm[] = [
  {
    type: 'vlan',
    title: 'VLAN',
    about: 'Which VLANs pass the port, and how frames are tagged.',
    fields: [
      { key: 'mode', label: 'Mode', kind: 'choice', choices: ['access', 'trunk', 'private'] },
      {
        key: 'accessVlanId',
        label: 'VLAN',
        kind: 'number',
        min: 0,
        max: VLAN_MAX,
        when: ['mode', ['access']],
        hint: '0: untagged',
      },
      {
        key: 'nativeVlanId',
        label: 'Native VLAN',
        kind: 'number',
        min: 0,
        max: VLAN_MAX,
        when: ['mode', ['trunk']],
        hint: 'of untagged frames',
      },
      { key: 'trunkVlanIds', label: 'Allowed VLANs', kind: 'text', when: ['mode', ['trunk']], hint: RANGES },
      { key: 'pvlanMode', label: 'Kind of port', kind: 'choice', choices: pvlan, when: ['mode', ['private']] },
      { key: 'primaryVlanId', label: 'Primary VLAN', kind: 'number', min: 1, max: VLAN_MAX, when: ['mode', ['private']] },
      {
        key: 'secondaryVlanId',
        label: 'Secondary VLAN',
        kind: 'number',
        min: 1,
        max: VLAN_MAX,
        when: ['pvlanMode', ['isolated', 'community']],
      },
      { key: 'secondaryVlanIds', label: 'Secondary VLANs', kind: 'text', when: ['pvlanMode', ['promiscuous']], hint: RANGES },
    ],
  },
  {
    type: 'security',
    title: 'Security',
    about: 'What the guest may claim to be.',
    fields: [
      { key: 'allowMacSpoofing', label: 'Guest may send from other MAC addresses', kind: 'flag' },
      { key: 'allowIeeePriorityTag', label: 'Guest may set priority tags', kind: 'flag' },
      { key: 'allowTeaming', label: 'Guest may team its adapters', kind: 'flag' },
      {
        key: 'dynamicIpAddressLimit',
        label: 'IP addresses that may be learned',
        kind: 'number',
        min: 0,
        max: 4_294_967_295,
        hint: '0: none',
      },
    ],
  },
  {
    type: 'protection',
    title: 'Guards',
    about: 'What the switch keeps off the others.',
    fields: [
      { key: 'dhcpGuard', label: 'Drop DHCP server messages from this port', kind: 'flag' },
      { key: 'routerGuard', label: 'Drop router advertisements from this port', kind: 'flag' },
      { key: 'stormLimit', label: 'Storm limit', kind: 'text', hint: 'frames per second, or a rate such as 10mbit; empty: none' },
      {
        key: 'sourceGuard',
        label: 'IP sources allowed',
        kind: 'text',
        hint: 'addresses, prefixes, or the word learned; empty: any',
      },
    ],
  },
  {
    type: 'isolation',
    title: 'Isolation',
    about: 'Which network the guest is in, and how the switch knows its frames.',
    fields: [
      { key: 'mode', label: 'Mode', kind: 'choice', choices: ['none', ...virtualSubnets, 'vlan'] },
      {
        key: 'defaultIsolationId',
        label: 'Virtual subnet of frames without one',
        kind: 'number',
        min: 0,
        max: VIRTUAL_SUBNET_MAX,
        when: ['mode', virtualSubnets],
      },
      {
        key: 'defaultIsolationId',
        label: 'VLAN of frames without one',
        kind: 'number',
        min: 0,
        max: VLAN_MAX,
        when: ['mode', ['vlan']],
      },
      { key: 'allowUntaggedTraffic', label: 'Guest may send untagged frames', kind: 'flag' },
    ],
  },
  {
    type: 'bandwidth',
    title: 'Bandwidth',
    about: 'Counts against the capacity of the switch.',
    fields: [{ key: 'reservationMbps', label: 'Reserved, Mbit/s', kind: 'number', min: 0, max: 10_000_000 }],
  },
]

const ranges = (value: unknown): string =>
  (Array.isArray(value) ? value : value === undefined ? [] : [value])
    .map((one) => (Array.isArray(one) ? (one[0] === one[1] ? String(one[0]) : one.join('-')) : String(one)))
    .join(', ')

/** Fields of a form as text, from a property's value; defaults where there is none. */
export function typedOf({ fields }: PolicyForm, value: Readonly<Record<string, unknown>> | undefined): Typed {
  return Object.fromEntries(
    fields.map(({ key, kind, choices }) => {
      const has = value?.[key]
      if (kind === 'flag') return [key, has === true ? 'true' : '']
      if (kind === 'choice') return [key, has === undefined ? (choices?.[0] ?? '') : String(has)]
      if (kind === 'number') return [key, has === undefined ? '' : String(has)]
      return [key, typeof has === 'object' && has !== null && !Array.isArray(has) ? JSON.stringify(has) : ranges(has)]
    }),
  )
}

/** The fields that apply to what was typed. */
export const shownFields = ({ fields }: PolicyForm, typed: Typed): readonly Field[] => {
  const shown = new Set<string>()
  return fields.filter(({ key, when }) => {
    const is = when === undefined || (shown.has(when[0]) && when[1].includes(typed[when[0]] ?? ''))
    if (is) shown.add(key)
    return is
  })
}

function problemOf({ key, kind, label, min = 0, max = 0 }: Field, text: string): string | null {
  if (kind === 'number') {
    if (text === '')
      return key === 'accessVlanId' || /^(primary|secondary)/.test(key) || key === 'reservationMbps' ? `${label} is needed` : null
    if (!/^\d+$/.test(text) || Number(text) < min || Number(text) > max) return `a whole number from ${min} to ${max}`
  }
  if (key === 'trunkVlanIds' || key === 'secondaryVlanIds') {
    const words = wordsOf(text)
    if (words.length === 0) return `${label}: at least one, ${RANGES}`
    for (const word of words) {
      const [, first, last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(word) ?? []
      if (first === undefined || Number(first) < 1 || Number(last) > VLAN_MAX || Number(first) > Number(last))
        return `“${word}” is no VLAN from 1 to ${VLAN_MAX} and no range of them`
    }
  }
  if (key === 'stormLimit' && text !== '' && !/^(\d{1,7}|\d{1,8}(kbit|mbit|gbit)|\{.*\})$/.test(text))
    return 'frames per second, or bits per second such as 10mbit'
  return null
}

const wordsOf = (text: string): string[] => text.split(/[\s,]+/).filter((word) => word !== '')

/** What is wrong, by field; empty: nothing. */
export function problemsOf(form: PolicyForm, typed: Typed): Readonly<Record<string, string>> {
  return Object.fromEntries(
    shownFields(form, typed).flatMap((field) => {
      const problem = problemOf(field, (typed[field.key] ?? '').trim())
      return problem === null ? [] : [[field.key, problem]]
    }),
  )
}

/** The value for the API; what the form does not know stays as it was. */
export function policyValue(
  form: PolicyForm,
  typed: Typed,
  before: Readonly<Record<string, unknown>> | undefined,
): Readonly<Record<string, unknown>> {
  const known = new Set(form.fields.map(({ key }) => key))
  const rest = Object.entries(before ?? {}).filter(([key]) => !known.has(key) && form.type !== 'vlan')
  const fields = shownFields(form, typed).flatMap(({ key, kind }): [string, unknown][] => {
    const text = (typed[key] ?? '').trim()
    if (kind === 'flag') return [[key, text === 'true']]
    if (text === '') return []
    if (kind === 'number') return [[key, Number(text)]]
    if (key === 'stormLimit') return [[key, text.startsWith('{') ? JSON.parse(text) : /^\d+$/.test(text) ? Number(text) : text]]
    if (key === 'trunkVlanIds' || key === 'secondaryVlanIds' || key === 'sourceGuard') return [[key, wordsOf(text)]]
    return [[key, text]]
  })
  return Object.fromEntries([...rest, ...fields])
}
