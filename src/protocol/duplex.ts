/**
 * A call that streams both ways: gRPC straight over a stream of HTTP/2.
 *
 * A session waits for one round trip with each step, and connect-es takes many turns of the event loop for that.
 */
import type { DescMessage, DescMethodBiDiStreaming, MessageShape } from "@bufbuild/protobuf"
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { Code, ConnectError } from "@connectrpc/connect"
import type { NodeHttpClientOptions } from "@connectrpc/connect-node"
import { requestHeader, validateResponseWithCompression, validateTrailer } from "@connectrpc/connect/protocol-grpc"
import { Effect, Result, type Scope } from "effect"
import { type KagziError, make as makeError } from "../KagziError.ts"
import * as Envelopes from "./envelopes.ts"
import { fromConnectError, renameDetail } from "./errors.ts"
import type { Duplex } from "./Rpc.ts"

/** Gives streams of a connection of HTTP/2, which is made when there is none. */
export type SessionManager = ReturnType<
  NonNullable<Extract<NodeHttpClientOptions, { readonly httpVersion: "2" }>["sessionProvider"]>
>

type Stream = Awaited<ReturnType<SessionManager["request"]>>

export interface Options {
  readonly sessions: SessionManager
  readonly headers: Readonly<Record<string, string>>
  /** The largest message taken, in bytes. */
  readonly readMaxBytes: number
  /** Names the server in messages about the connection. */
  readonly peer: string
}

/** The code with which a call is left, of RFC 9113. */
const cancel = 8

/** How much may wait for `receive` before no more is read, in bytes. */
const mostHeld = 64 * 1024

/** Counted for each message that waits, so that no number of empty ones is held. Bytes. */
const overhead = 64

const webHeaders = (fields: Readonly<Record<string, unknown>>): Headers => {
  const headers = new Headers()
  for (const [name, value] of Object.entries(fields)) {
    if (name.startsWith(":") || value === undefined) continue
    for (const each of Array.isArray(value) ? value : [value]) headers.append(name, String(each))
  }
  renameDetail(headers)
  return headers
}

const envelope = (message: Uint8Array): Uint8Array => {
  const { at, bytes } = Envelopes.allocate(message.byteLength)
  bytes.set(message, at)
  return bytes
}

const attempt = <A>(run: () => A) => Result.try({ try: run, catch: (reason) => reason })

const start = <I extends DescMessage, O extends DescMessage>(
  { headers, peer, readMaxBytes, sessions }: Options,
  method: DescMethodBiDiStreaming<I, O>
): { readonly duplex: Duplex<I, O>; readonly close: () => void } => {
  type Next = Effect.Effect<MessageShape<O>, KagziError>
  let stream: Stream | undefined
  /** Why the call is of no use any more. */
  let ended: KagziError | undefined
  let outbox: Array<Uint8Array> = []
  let inbox: Array<Uint8Array> = []
  let held = 0
  let reader: ((next: Next) => void) | undefined

  const end = (reason: KagziError): KagziError => {
    if (ended !== undefined) return ended
    ended = reason
    outbox = []
    stream?.close(cancel)
    deliver()
    return reason
  }
  const fail = (reason: unknown): KagziError => end(fromConnectError(reason, peer))

  const decode = (bytes: Uint8Array): Next => {
    const message = attempt(() => fromBinary(method.output, bytes))
    if (Result.isSuccess(message)) return Effect.succeed(message.success)
    inbox = []
    return Effect.fail(fail(new ConnectError(`parse binary: ${message.failure}`, Code.Internal)))
  }

  /** What `receive` has next; nothing where it has to wait. */
  const take = (): Next | undefined => {
    const bytes = inbox.shift()
    if (bytes === undefined) return ended === undefined ? undefined : Effect.fail(ended)
    held -= bytes.byteLength + overhead
    if (held <= mostHeld && stream?.isPaused() === true) stream.resume()
    return decode(bytes)
  }

  const deliver = (): void => {
    const waiting = reader
    const next = waiting === undefined ? undefined : take()
    if (waiting === undefined || next === undefined) return
    reader = undefined
    waiting(next)
  }

  const receive: Next = Effect.callback((resume) => {
    const next = take()
    if (next !== undefined) return resume(next)
    reader = resume
    return Effect.sync(() => {
      if (reader === resume) reader = undefined
    })
  })

  const write = (): void => {
    let count = 0
    // One that has ended takes nothing, and tells so by its end. It would fail at once, and lose what waits to be read.
    for (const bytes of outbox) {
      if (stream === undefined || stream.writableNeedDrain) break
      if (stream.writable) stream.write(bytes)
      count++
    }
    if (count > 0) outbox = outbox.slice(count)
  }

  const send: Duplex<I, O>["send"] = (message) => {
    if (ended !== undefined) return
    const encoded = attempt(() => envelope(toBinary(method.input, create(method.input, message))))
    if (Result.isFailure(encoded)) {
      fail(new ConnectError(`serialize binary: ${encoded.failure}`, Code.Internal))
      return
    }
    outbox.push(encoded.success)
    write()
  }

  const attach = (opened: Stream): void => {
    stream = opened
    // An error that nobody hears would end the process, and one may come after the end, too.
    opened.on("error", fail)
    if (ended !== undefined) {
      opened.close(cancel)
      return
    }
    let header = new Headers()
    let trailer = new Headers()
    const check = (run: () => void): void => {
      const checked = attempt(run)
      if (Result.isFailure(checked)) fail(checked.failure)
    }
    const split = Envelopes.splitter(readMaxBytes, (message) => {
      inbox.push(message)
      held += message.byteLength + overhead
    })
    opened.on("response", (fields) =>
      check(() => {
        header = webHeaders(fields)
        const { headerError } = validateResponseWithCompression([], fields[":status"] ?? 0, header)
        if (headerError !== undefined) fail(headerError)
      })
    )
    opened.on("data", (chunk: Uint8Array) => {
      sessions.notifyResponseByteRead(opened)
      if (ended !== undefined) return
      const problem = split(chunk)
      if (problem !== undefined) fail(problem)
      deliver()
      if (held > mostHeld) opened.pause()
    })
    opened.on("drain", write)
    opened.on("trailers", (fields) =>
      check(() => {
        trailer = webHeaders(fields)
      })
    )
    opened.on("end", () => {
      if (opened.rstCode !== 0) return
      check(() => validateTrailer(trailer, header))
      end(makeError("Unavailable", `${peer} has ended the call`))
    })
    opened.on("close", () =>
      fail(new ConnectError(`http/2 stream closed with error code ${opened.rstCode}`, Code.Unavailable))
    )
    write()
  }

  const request = attempt(() => Object.fromEntries(requestHeader(true, undefined, headers)))
  if (Result.isFailure(request)) fail(request.failure)
  else sessions.request("POST", `/${method.parent.typeName}/${method.name}`, request.success, {}).then(attach, fail)
  return {
    duplex: { send, waiting: () => outbox.length, receive },
    close: () => {
      end(makeError("Unavailable", "The call is closed"))
    }
  }
}

/** Opens the call. */
export const open = <I extends DescMessage, O extends DescMessage>(
  options: Options,
  method: DescMethodBiDiStreaming<I, O>
): Effect.Effect<Duplex<I, O>, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => start(options, method)),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ duplex }) => duplex))
