// Values of arguments and options that several commands take.
import { InvalidArgumentError } from 'commander'

/** A whole number from `min` to `max`, or an error that says so. */
export function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`a whole number from ${min} to ${max} is needed.`)
    return value
  }
}
