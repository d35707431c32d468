/** The whole body of a request, within limits of size and time. */
import { Effect } from "effect"
import { maxMessageBytes } from "./errorEncoding.ts"
import type { Request } from "./listener.ts"

/** What of a body is kept: enough for the largest message with its frame, and to tell that a larger one is too large. */
const keptBytes = maxMessageBytes + 1024

/** A client that sends more than this is cut off without an answer. */
const toleratedBytes = 64 * 1024 * 1024

/** A request that takes longer than this to arrive is cut off. */
const arrivalTimeout = "60 seconds"

/**
 * Reads a request to its end, and gives its beginning if it is too large.
 *
 * The rest of such a request is read and dropped, because an HTTP/1.1 client sends all of it before it looks for the
 * answer, and some never get done with a connection on which the answer came earlier. Undefined when the client went
 * away.
 */
export const readBody = (request: Request): Effect.Effect<Uint8Array | undefined> =>
  Effect.callback<Uint8Array | undefined>((resume) => {
    const stream: NodeJS.EventEmitter = request
    const chunks: Array<Uint8Array> = []
    let bytes = 0
    const data = (chunk: Uint8Array) => {
      if (bytes <= keptBytes) chunks.push(chunk)
      bytes += chunk.byteLength
      if (bytes > toleratedBytes) request.destroy()
    }
    const end = () => {
      const [only] = chunks
      resume(Effect.succeed(only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks)))
    }
    const gone = () => resume(Effect.succeed(undefined))
    stream.on("data", data).once("end", end).once("close", gone).once("error", gone)
    return Effect.sync(() => stream.off("data", data).off("end", end).off("close", gone).off("error", gone))
  }).pipe(
    Effect.timeoutOrElse({
      duration: arrivalTimeout,
      orElse: () =>
        Effect.sync(() => {
          request.destroy()
          return undefined
        })
    })
  )
