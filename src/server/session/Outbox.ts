/** Events on their way to a client. Those of one turn of the event loop go in one message. */
import { OpenSessionResponseSchema } from "../../../gen/kagzi/v1/session_pb.ts"
import type { KagziError } from "../../KagziError.ts"
import * as Envelopes from "../../protocol/envelopes.ts"

/** Before each event in a message. */
const eventsTag = (OpenSessionResponseSchema.field.events.number << 3) | 2

/** A message is not made larger than this unless a single event is, in bytes. */
const messageBytes = 1_048_576

/** What an event costs beside its bytes. */
const overhead = 64

interface Queued {
  /** With the length before them. */
  readonly bytes: Uint8Array
  readonly undo: (() => void) | undefined
}

/** The connection. */
export interface Sink {
  /** Takes the bytes of a message, after what gRPC puts before it. False when it wants no more until it says so. */
  readonly write: (bytes: Uint8Array) => boolean
  /** Nothing more comes. */
  readonly end: (error: KagziError | undefined) => void
}

export interface Watcher {
  /** The connection has taken events, so that there is room for more. */
  readonly onTaken: () => void
}

export class Outbox {
  /** About how many bytes of memory wait to be taken. */
  bytes = 0
  readonly #watcher: Watcher
  readonly #sink: Sink
  #queue: Array<Queued> = []
  #writable = true
  #scheduled = false
  #end: { readonly error: KagziError | undefined } | undefined
  #ended = false

  constructor(sink: Sink, watcher: Watcher) {
    this.#sink = sink
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
  end(error?: KagziError): void {
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

  /** The connection takes more. */
  drained(): void {
    this.#writable = true
    this.#deliver()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#deliver()
    })
  }

  #deliver(): void {
    let taken = false
    while (this.#writable && this.#queue.length > 0) {
      taken = true
      this.#writable = this.#sink.write(this.#take())
    }
    if (taken) this.#watcher.onTaken()
    if (this.#end === undefined || this.#queue.length > 0 || this.#ended) return
    this.#ended = true
    this.#sink.end(this.#end.error)
  }

  #take(): Uint8Array {
    let count = 0
    let size = 0
    for (const { bytes } of this.#queue) {
      if (count > 0 && size + bytes.byteLength > messageBytes) break
      size += bytes.byteLength
      count++
    }
    // what was written already goes out as it is
    const message = Envelopes.allocate(size + count)
    let at = message.at
    for (const { bytes } of count === this.#queue.length ? this.#queue : this.#queue.slice(0, count)) {
      message.bytes[at] = eventsTag
      message.bytes.set(bytes, at + 1)
      at += 1 + bytes.byteLength
    }
    this.bytes -= size + count * overhead
    this.#queue = count === this.#queue.length ? [] : this.#queue.slice(count)
    return message.bytes
  }
}
