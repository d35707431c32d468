/** Events on their way to a client. Those of one turn of the event loop go in one message. */
import { create } from "@bufbuild/protobuf"
import { WireType } from "@bufbuild/protobuf/wire"
import { type OpenSessionResponse, OpenSessionResponseSchema } from "../../../gen/kagzi/v1/session_pb.ts"

/** A message is not made larger than this unless a single event is, in bytes. */
const messageBytes = 1_048_576

/** What an event costs beside its bytes. */
const overhead = 64

interface Queued {
  /** With the length before them. */
  readonly bytes: Uint8Array
  readonly undo: (() => void) | undefined
}

type Taken = IteratorResult<OpenSessionResponse, undefined>

interface Reader {
  readonly resolve: (taken: Taken) => void
  readonly reject: (reason: unknown) => void
}

export interface Watcher {
  /** The connection has taken events, so that there is room for more. */
  readonly onTaken: () => void
  /** The connection takes no more. */
  readonly onClosed: () => void
}

/** To be read by the one connection that it is for. */
export class Outbox implements AsyncIterableIterator<OpenSessionResponse, undefined> {
  /** About how many bytes of memory wait to be taken. */
  bytes = 0
  readonly #watcher: Watcher
  #queue: Array<Queued> = []
  #reader: Reader | undefined
  #scheduled = false
  #end: { readonly error: unknown } | undefined

  constructor(watcher: Watcher) {
    this.#watcher = watcher
  }

  /** `undo` is run if the event is not taken. */
  push(bytes: Uint8Array, undo?: () => void): void {
    if (this.#end !== undefined) {
      undo?.()
      return
    }
    this.#queue.push({ bytes, undo })
    this.bytes += bytes.byteLength + overhead
    this.#schedule()
  }

  /** After what waits to be taken the stream ends, with an error if there is one. */
  end(error?: unknown): void {
    if (this.#end !== undefined) return
    this.#end = { error }
    this.#schedule()
  }

  /** Gives up on what was not taken. */
  clear(): void {
    const queue = this.#queue
    this.#queue = []
    this.bytes = 0
    for (const { undo } of queue) undo?.()
  }

  next(): Promise<Taken> {
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject }
      if (this.#queue.length > 0 || this.#end !== undefined) this.#deliver()
    })
  }

  return(): Promise<Taken> {
    this.#watcher.onClosed()
    return Promise.resolve({ done: true, value: undefined })
  }

  throw(): Promise<Taken> {
    return this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #schedule(): void {
    if (this.#scheduled || this.#reader === undefined) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#deliver()
    })
  }

  #deliver(): void {
    const reader = this.#reader
    if (reader === undefined) return
    if (this.#queue.length > 0) {
      this.#reader = undefined
      reader.resolve({ done: false, value: this.#take() })
      this.#watcher.onTaken()
    } else if (this.#end !== undefined) {
      this.#reader = undefined
      if (this.#end.error === undefined) reader.resolve({ done: true, value: undefined })
      else reader.reject(this.#end.error)
    }
  }

  #take(): OpenSessionResponse {
    const message = create(OpenSessionResponseSchema)
    message.$unknown = []
    let count = 0
    let size = 0
    for (const { bytes } of this.#queue) {
      if (count > 0 && size + bytes.byteLength > messageBytes) break
      size += bytes.byteLength
      count++
      // what was written already goes out as it is
      message.$unknown.push({ no: 1, wireType: WireType.LengthDelimited, data: bytes })
    }
    this.bytes -= size + count * overhead
    this.#queue = count === this.#queue.length ? [] : this.#queue.slice(count)
    return message
  }
}
