/** The messages of a gRPC stream in its bytes: each after a byte of flags and four of its length. */
import { Code, ConnectError } from "@connectrpc/connect"

const prefixBytes = 5

/** Of a message that is compressed. */
const compressed = 1

/** A message of that size with room for what comes before it, which is filled in. The message begins at `at`. */
export const allocate = (size: number): { readonly bytes: Uint8Array; readonly at: number } => {
  const bytes = new Uint8Array(prefixBytes + size)
  new DataView(bytes.buffer).setUint32(1, size)
  return { bytes, at: prefixBytes }
}

/**
 * Takes the bytes of a stream as they come and gives its messages. Answers what is wrong with them; of no use after
 * that. Messages may share memory with the bytes.
 */
export const splitter = (
  maxBytes: number,
  found: (message: Uint8Array) => void
): ((chunk: Uint8Array) => ConnectError | undefined) => {
  const prefix = new Uint8Array(prefixBytes)
  let prefixFilled = 0
  let message: Uint8Array | undefined
  let filled = 0

  const problem = (size: number): ConnectError | undefined => {
    const flags = prefix[0] ?? 0
    if (flags === compressed) return new ConnectError("received compressed message", Code.Internal)
    if (flags !== 0) return new ConnectError(`invalid flags of a message: ${flags}`, Code.Internal)
    if (size <= maxBytes) return undefined
    return new ConnectError(`message size ${size} is larger than ${maxBytes}`, Code.ResourceExhausted)
  }

  return (chunk) => {
    let at = 0
    const take = (into: Uint8Array, from: number): number => {
      const bytes = chunk.subarray(at, at + into.byteLength - from)
      into.set(bytes, from)
      at += bytes.byteLength
      return from + bytes.byteLength
    }
    while (at < chunk.byteLength) {
      if (message === undefined) {
        prefixFilled = take(prefix, prefixFilled)
        if (prefixFilled < prefixBytes) return undefined
        prefixFilled = 0
        const size = new DataView(prefix.buffer).getUint32(1)
        const wrong = problem(size)
        if (wrong !== undefined) return wrong
        if (chunk.byteLength - at >= size) {
          found(chunk.subarray(at, at + size))
          at += size
          continue
        }
        message = new Uint8Array(size)
        filled = 0
      }
      filled = take(message, filled)
      if (filled < message.byteLength) return undefined
      const whole = message
      message = undefined
      found(whole)
    }
    return undefined
  }
}
