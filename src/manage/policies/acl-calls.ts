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
  /** Policy of the network that imposes it; absent: it is the port's own. */
  readonly network?: string | undefined
  readonly packets: number
  readonly bytes: number
}

/** One of the two lists of a port. */
export interface AclList {
  readonly port: string
  /** As in AclStatus; false without it. */
  readonly extended?: boolean | undefined
}

export interface AclAddition extends AclList {
  /** As it is written in the property; it comes behind the others. */
  readonly entry: Readonly<Record<string, unknown>>
}

export interface AclRemoval extends AclList {
  /** Name, or place in its list. */
  readonly which?: string | undefined
  /** In place of that: the entry itself, with the members and values that the list shows. */
  readonly entry?: Readonly<Record<string, unknown>> | undefined
}

/**
 * Entries are what the properties `acl` and `extended-acl` hold, and behind those rules that a network imposes, which can't be removed here. Calls fail with the code no-such-port. Additions and removals at the same
 * moment are done one after the other, each on what the one before left.
 */
export interface AclCalls {
  /** Of one port, or of all. */
  acls(filter: { readonly port?: string | undefined }): Answer<readonly AclStatus[]>
  /** What the port's list is then. bad-property: what the entry says is wrong. */
  addAcl(addition: AclAddition): Answer<readonly AclStatus[]>
  /** What the port's list is then. no-such-acl: nothing has that name or place, or says that. */
  removeAcl(removal: AclRemoval): Answer<readonly AclStatus[]>
}
