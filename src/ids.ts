/**
 * UUIDs of version 7 (RFC 9562) for the rows that commands make. They are made for every command, so that bytes are
 * drawn for hundreds at once, and no fiber is started.
 *
 * Each sorts after the one before, whatever the clock does: rows that are made one after the other are side by side in
 * an index. Within a millisecond a counter in the 12 bits after the time sees to that.
 */
import { Context } from "effect"

/** How random bytes are drawn: by the platform, unless everything is to be repeatable. */
export const RandomBytes = Context.Reference<(size: number) => Uint8Array>("kagzi/RandomBytes", {
  defaultValue: () => (size) => globalThis.crypto.getRandomValues(new Uint8Array(size))
})

/** Random bits are drawn for so many ids. */
const drawn = 256

/** Of an id: the 62 bits at its end. */
const bytesOfId = 8

/** The counter begins below half of what it can hold, at random. */
const counterStart = 0x7ff
const counterEnd = 0xfff

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

const digits = (value: number, length: number): string => value.toString(16).padStart(length, "0")

/** `draw` gives that many random bytes; `now` is in milliseconds since the epoch. */
export const makeIds = (draw: (size: number) => Uint8Array, now: () => number): (() => string) => {
  let bytes = new Uint8Array(0)
  let used = 0
  let last = -1
  let head = ""
  let counter = 0

  const setTime = (millis: number) => {
    last = millis
    const text = digits(millis, 12)
    head = `${text.slice(0, 8)}-${text.slice(8)}-7`
  }

  return () => {
    if (used === bytes.length) {
      bytes = new Uint8Array(draw(drawn * bytesOfId))
      used = 0
    }
    const at = used
    used += bytesOfId
    const millis = Math.max(0, Math.floor(now()))
    if (millis > last) {
      setTime(millis)
      counter = ((bytes[at]! << 8) | bytes[at + 1]!) & counterStart
    } else if (counter === counterEnd) {
      // the time runs ahead until the clock has caught up
      setTime(last + 1)
      counter = 0
    } else counter++
    const byte = (place: number) => hex[bytes[at + place]!]!
    return `${head}${digits(counter, 3)}-${hex[(bytes[at]! & 0x3f) | 0x80]}${byte(1)}-${byte(2)}${byte(3)}${byte(4)}${byte(5)}${byte(6)}${byte(7)}`
  }
}
