// The part of SwitchHost that is about the ACLs of ports. Types only; host.ts has the rest.
//
// The rule it must not break: everything here survives JSON.
type Answer<T> = T | Promise<T>

/** An entry of a port's ACL, or a rule of its extended one, as it is written, with what it counted since it is there. */
export interface AclStatus {
  readonly port: string
  /** VM behind the port. */
  readonly vm: string
  /** False: of the ACL (Add-VMNetworkAdapterAcl); true: of the extended one (Add-VMNetworkAdapterExtendedAcl). */
  readonly extended: boolean
  /** Place in its list, from 0. */
  readonly index: number
  /** Address of an entry, name of a rule. */
  readonly name: string
  readonly entry: Readonly<Record<string, unknown>>
  readonly packets: number
  readonly bytes: number
}

/** Entries are added and removed by changing the properties `acl` and `extended-acl`. Calls fail with the code no-such-port. */
export interface AclCalls {
  /** Of one port, or of all. */
  acls(filter: { readonly port?: string | undefined }): Answer<readonly AclStatus[]>
}
