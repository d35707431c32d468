/** Events on their way to a client. Those of one turn of the event loop go in one message. */
import { create } from "@bufbuild/protobuf"
import {
  type OpenSessionResponse,
  OpenSessionResponseSchema,
  type SessionEvent
} from "../../../gen/kagzi/v1/session_pb.ts"

/** A message is not made larger than this unless a single event is, in bytes. */
const messageBytes = 1_048_576

interface Queued {
  readonly event: SessionEvent
  readonly bytes: number
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
  /** About how many bytes wait to be taken. */
  bytes = 0
  readonly #watcher: Watcher
  #queue: Array<Queued> = []
  #reader: Reader | undefined
  #scheduled = false
  #end: { readonly error: unknown } | undefined

  constructor(watcher: Watcher) {
    this.#watcher = watcher
  }

  /** `bytes` is about the size of the event. */
  push(event: SessionEvent, bytes: number): void {
    if (this.#end !== undefined) return
    this.#queue.push({ event, bytes })
    this.bytes += bytes
    this.#schedule()
  }

  /** After what waits to be taken the stream ends, with an error if there is one. */
  end(error?: unknown): void {
    if (this.#end !== undefined) return
    this.#end = { error }
    this.#schedule()
  }

  /** What was not taken, and is not going to be. */
  clear(): ReadonlyArray<SessionEvent> {
    const left = this.#queue.map(({ event }) => event)
    this.#queue = []
    this.bytes = 0
    return left
  }

  next(): Promise<Taken> {
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject }
      if (this.#queue.length > 0 || this.#end !== undefined) this.#deliver()
    })
  }

  return(): Promise<Taken> {
    this.end()
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
    let count = 0
    let bytes = 0
    for (const queued of this.#queue) {
      if (count > 0 && bytes + queued.bytes > messageBytes) break
      bytes += queued.bytes
      count++
    }
    this.bytes -= bytes
    const taken = this.#queue.splice(0, count)
    const message = create(OpenSessionResponseSchema)
    for (const { event } of taken) message.events.push(event)
    return message
  }
}
