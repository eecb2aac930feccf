// Values of arguments and options that several commands take.
import { type Command, InvalidArgumentError, Option } from 'commander'

/** A whole number from `min` to `max`, or an error that says so. */
export function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`a whole number from ${min} to ${max} is needed.`)
    return value
  }
}

/** Where the web console is to be served. */
export const consoleOption = (): Option =>
  new Option('--console [host:port]', 'serve the web console on a loopback address; default: 127.0.0.1:7788, or any free port')

/** A switch on the network, in place of one on this machine. */
export const networkOptions = (command: Command): Command =>
  command
    .option('--host <url>', 'a service on the network: https://HOST:PORT, or its name in hosts.yaml; default: $VMSWITCH_HOST')
    .option('--token-file <file>', 'the token for it; default: $VMSWITCH_TOKEN_FILE')
    .option('--ca <file>', 'certificate to trust, PEM; default: $VMSWITCH_CA, else those of this machine')
