/** Answers that get lost on their way to a worker, which sends such a command again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, References, Schema } from "effect"
import { KagziClient, Step, Workflow } from "../../src/index.ts"
import * as KagziError from "../../src/KagziError.ts"
import { Rpc } from "../../src/protocol/Rpc.ts"
import * as Unary from "../../src/protocol/unary.ts"
import * as InProcess from "../../src/server/inProcess.ts"
import { KagziServer } from "../../src/server/index.ts"
import { Ledger, withWorker } from "../support/harness.ts"
import * as Stores from "../support/stores.ts"

/**
 * A client to which the first answer of each method named is lost. Time limits of calls are left to the other end, as
 * they are where the calls go over a connection.
 */
const losing = (...methods: ReadonlyArray<string>) =>
  Layer.effect(
    Rpc,
    Effect.map(Rpc, (rpc) => {
      const lost = new Set<string>()
      return {
        call: (method, input, { headers = {} } = {}) =>
          Effect.flatMap(rpc.call(method, input, { headers }), (answer) => {
            if (!methods.includes(method.name) || lost.has(method.name)) return Effect.succeed(answer)
            lost.add(method.name)
            return Effect.fail(new KagziError.Unavailable({ message: "the answer was lost" }))
          })
      } satisfies Rpc["Service"]
    })
  ).pipe(Layer.provide(InProcess.layer))

const clientLosing = (...methods: ReadonlyArray<string>) =>
  KagziClient.layerProtocol.pipe(
    Layer.provideMerge(Unary.layer),
    Layer.provide(losing(...methods)),
    Layer.provide(KagziServer.layerEngine({ store: Stores.serverStore })),
    Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error")),
    Layer.fresh
  )

const Lossy = Workflow.make("lossy", { taskQueue: "lossy", output: Schema.String })

describe("a lost answer", () => {
  it.live("to the cancellation of a step does not hold up the run, or leave a trace in it", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      const implementation = Lossy.implement(
        Effect.fn(function* () {
          const winner = yield* Workflow.race(
            Step.run("quick", ledger.note("quick")),
            Effect.as(Workflow.sleep("long", "3 hours"), "slept")
          )
          return yield* Step.run("after", ledger.note(winner))
        })
      )
      const handle = yield* Lossy.start(undefined)
      assert.deepStrictEqual(yield* withWorker(implementation)(Effect.exit(handle.result)), Exit.succeed("quick"))
      const names = (yield* handle.steps).map(({ name }) => name)
      assert.sameMembers(names, ["quick@1.0", "long@1.1", "after"])
    }).pipe(Effect.provide(clientLosing("CancelStep")))
  )
})
