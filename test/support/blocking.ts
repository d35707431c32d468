/**
 * A store that answers while the caller waits for it and does nothing else, as SQLite does: for tests that say when time
 * passes. The PostgreSQL store is in a thread of its own, with time of its own.
 */
import { type MessagePort, MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads"
import { Clock, Effect, Option, type Scope } from "effect"
import { type Changes, type Rows, type Shape, StoreError, type Wants } from "../../src/store/Store.ts"

/** What the thread is asked. */
export type Request =
  | { readonly _tag: "Call"; readonly method: string; readonly args: ReadonlyArray<unknown> }
  | { readonly _tag: "Transact"; readonly wants: Wants }
  | { readonly _tag: "Decided"; readonly changes: Changes }
  | { readonly _tag: "Defect" }
  | { readonly _tag: "Close" }

/** What the thread answers. */
export type Answer =
  | { readonly _tag: "Rows"; readonly rows: Rows }
  | { readonly _tag: "Done"; readonly value: unknown; readonly isOption: boolean; readonly isSome: boolean }
  | {
      readonly _tag: "Failed"
      readonly message: string
      readonly transient: boolean
      readonly reason: StoreError["reason"]
    }
  | { readonly _tag: "Died"; readonly message: string }

/** One end of a channel on which a thread can wait without anything else happening on it. */
export class Line<In, Out> {
  readonly #port: MessagePort
  readonly #mine: Int32Array
  readonly #theirs: Int32Array

  /** `bells` count what was sent to each end, `side` is which end this is. */
  constructor(port: MessagePort, bells: SharedArrayBuffer, side: 0 | 1) {
    this.#port = port
    this.#mine = new Int32Array(bells, side * 4, 1)
    this.#theirs = new Int32Array(bells, (1 - side) * 4, 1)
  }

  send(message: Out): void {
    this.#port.postMessage(message)
    Atomics.add(this.#theirs, 0, 1)
    Atomics.notify(this.#theirs, 0)
  }

  wait(): In {
    for (;;) {
      const rung = Atomics.load(this.#mine, 0)
      const received = receiveMessageOnPort(this.#port)
      if (received !== undefined) return received.message
      Atomics.wait(this.#mine, 0, rung)
    }
  }
}

export interface ThreadData {
  readonly url: string
  readonly port: MessagePort
  readonly bells: SharedArrayBuffer
}

const failed = ({ message, reason, transient }: Answer & { readonly _tag: "Failed" }) =>
  new StoreError({ message, transient, ...(reason === undefined ? {} : { reason }) })

/** Opens the store in that database until the scope closes. */
export const open = (url: string): Effect.Effect<Shape, StoreError, Scope.Scope> =>
  Effect.gen(function* () {
    const { line } = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const { port1, port2 } = new MessageChannel()
        const bells = new SharedArrayBuffer(8)
        const data: ThreadData = { url, port: port2, bells }
        const worker = new Worker(new URL("blockingThread.ts", import.meta.url), {
          workerData: data,
          transferList: [port2]
        })
        return { worker, line: new Line<Answer, Request>(port1, bells, 0), port1 }
      }),
      ({ line, port1, worker }) =>
        Effect.promise(async () => {
          line.send({ _tag: "Close" })
          line.wait()
          port1.close()
          await worker.terminate()
        })
    )

    const ended = (answer: Answer): Effect.Effect<unknown, StoreError> => {
      switch (answer._tag) {
        case "Done":
          return Effect.succeed(
            answer.isOption ? (answer.isSome ? Option.some(answer.value) : Option.none()) : answer.value
          )
        case "Failed":
          return Effect.fail(failed(answer))
        default:
          return Effect.die(new Error(answer._tag === "Died" ? answer.message : answer._tag))
      }
    }
    const call =
      (method: string) =>
      (...args: ReadonlyArray<unknown>) =>
        Effect.suspend(() => {
          line.send({ _tag: "Call", method, args })
          return ended(line.wait())
        })
    const transact = <A>(wants: Wants, decide: (rows: Rows) => { readonly changes: Changes; readonly value: A }) =>
      Effect.suspend(() => {
        line.send({ _tag: "Transact", wants })
        let decided: { readonly changes: Changes; readonly value: A } | undefined
        for (;;) {
          const answer = line.wait()
          if (answer._tag !== "Rows") return Effect.map(ended(answer), () => decided!.value)
          try {
            decided = decide(answer.rows)
          } catch (defect) {
            line.send({ _tag: "Defect" })
            line.wait()
            return Effect.die(defect)
          }
          line.send({ _tag: "Decided", changes: decided.changes })
        }
      })

    // it is ready, or says why not
    yield* ended(line.wait())
    const methods = Object.fromEntries([
      ...called.map((method) => [method, call(method)]),
      ...asked.map((value) => [value, call(value)()])
    ])
    return { ...methods, now: Clock.currentTimeMillis, transact } as unknown as Shape
  })

const asked = ["quietest", "ping"] satisfies ReadonlyArray<keyof Shape>

const called = [
  "getNamespace",
  "listNamespaces",
  "getRun",
  "getRunRecord",
  "getInput",
  "getOutput",
  "getRunByExternalId",
  "listRuns",
  "getStep",
  "listSteps",
  "history",
  "getWorker",
  "listWorkers",
  "countWorkers",
  "countRuns",
  "nextDue",
  "occupancy",
  "getSchedule",
  "listSchedules",
  "countSchedules",
  "schedulesByDue",
  "missingRuns",
  "removeEnded",
  "removeLeftSteps"
] satisfies ReadonlyArray<keyof Shape>
