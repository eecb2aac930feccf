// Endpoints that can be named on the command line: a word or two describe them. The others need a configuration.

export const simpleKinds = ['vhost-user', 'tap', 'stream', 'unix-dgram', 'uplink', 'memory'] as const
export type SimpleKind = (typeof simpleKinds)[number]
