/** The thread behind `blocking.ts`. */
import { workerData } from "node:worker_threads"
import { Cause, Effect, Exit, Option } from "effect"
import * as PostgresStore from "../../src/store/postgres/PostgresStore.ts"
import { type Shape, Store, StoreError } from "../../src/store/Store.ts"
import { type Answer, Line, type Request, type ThreadData } from "./blocking.ts"

const { bells, port, url } = workerData as ThreadData
const line = new Line<Request, Answer>(port, bells, 1)

const answer = (exit: Exit.Exit<unknown, unknown>): Answer => {
  if (Exit.isSuccess(exit)) {
    const { value } = exit
    return Option.isOption(value)
      ? { _tag: "Done", value: Option.getOrUndefined(value), isOption: true, isSome: Option.isSome(value) }
      : { _tag: "Done", value, isOption: false, isSome: false }
  }
  const error = Cause.squash(exit.cause)
  return error instanceof StoreError
    ? { _tag: "Failed", message: error.message, transient: error.transient, reason: error.reason }
    : { _tag: "Died", message: Cause.pretty(exit.cause) }
}

const carryOut = (store: Shape, request: Request): Effect.Effect<unknown, unknown> => {
  switch (request._tag) {
    case "Call": {
      const method = (store as unknown as Record<string, unknown>)[request.method]
      return (typeof method === "function" ? method(...request.args) : method) as Effect.Effect<unknown, unknown>
    }
    case "Transact":
      return store.transact(request.wants, (rows) => {
        line.send({ _tag: "Rows", rows })
        const decided = line.wait()
        if (decided._tag !== "Decided") throw new Error("it could not decide")
        return { changes: decided.changes, value: undefined }
      })
    default:
      return Effect.die(new Error(`unexpected: ${request._tag}`))
  }
}

const closed = Effect.callback<void>((resume) => {
  port.on("message", (request: Request) => {
    if (request._tag === "Close") resume(Effect.void)
  })
})

const main = Effect.gen(function* () {
  const store = yield* Store
  port.on("message", (request: Request) => {
    if (request._tag === "Close") return
    Effect.runCallback(carryOut(store, request), { onExit: (exit) => line.send(answer(exit)) })
  })
  line.send({ _tag: "Done", value: undefined, isOption: false, isSome: false })
  yield* closed
})

Effect.runCallback(Effect.provide(main, PostgresStore.layer(url, { poolSize: 3 })), {
  onExit: (exit) => {
    line.send(answer(exit))
    // it could not be opened, and is closed all the same
    if (Exit.isFailure(exit)) port.on("message", () => line.send(answer(Exit.void)))
  }
})
