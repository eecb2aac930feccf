// The VLANs of an adapter as Get-VMNetworkAdapterVlan shows them, from the property as it was written.
import type { Output } from './cmdlet.ts'

const pvlanModes = { isolated: 'Isolated', community: 'Community', promiscuous: 'Promiscuous' } as const

/** Numbers of a list of VLANs: 10, "10-20", [10, 20]. */
function numbersOf(written: unknown): number[] {
  const parts = Array.isArray(written) ? written : written === undefined ? [] : [written]
  return parts.flatMap((part) => {
    const [first, last = first] = Array.isArray(part) ? part : String(part).split('-')
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => Number(first) + i)
  })
}

/** Runs of numbers: 1-3,7. */
function rangesOf(numbers: readonly number[]): string {
  const runs: [number, number][] = []
  for (const number of [...new Set(numbers)].sort((a, b) => a - b)) {
    const run = runs.at(-1)
    if (run !== undefined && number === run[1] + 1) run[1] = number
    else runs.push([number, number])
  }
  return runs.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(',')
}

export function vlanOutput(value: Readonly<Record<string, unknown>> | undefined): Output {
  const none = {
    OperationMode: 'Untagged',
    AccessVlanId: 0,
    NativeVlanId: 0,
    AllowedVlanIdList: [] as number[],
    PrivateVlanMode: '',
    PrimaryVlanId: 0,
    SecondaryVlanId: 0,
    SecondaryVlanIdList: [] as number[],
    VlanList: '',
  }
  if (value === undefined) return none
  if (value.mode === 'access')
    return { ...none, OperationMode: 'Access', AccessVlanId: value.accessVlanId, VlanList: String(value.accessVlanId) }
  if (value.mode === 'trunk') {
    const allowed = numbersOf(value.trunkVlanIds)
    const native = Number(value.nativeVlanId ?? 0)
    return {
      ...none,
      OperationMode: 'Trunk',
      NativeVlanId: native,
      AllowedVlanIdList: allowed,
      VlanList: `${native},${rangesOf(allowed)}`,
    }
  }
  const mode = value.pvlanMode as keyof typeof pvlanModes
  const secondaries = mode === 'promiscuous' ? numbersOf(value.secondaryVlanIds) : []
  const secondary = mode === 'promiscuous' ? 0 : Number(value.secondaryVlanId)
  return {
    ...none,
    OperationMode: 'Private',
    PrivateVlanMode: pvlanModes[mode],
    PrimaryVlanId: value.primaryVlanId,
    SecondaryVlanId: secondary,
    SecondaryVlanIdList: secondaries,
    VlanList: `${String(value.primaryVlanId)},${mode === 'promiscuous' ? rangesOf(secondaries) : secondary}`,
  }
}
