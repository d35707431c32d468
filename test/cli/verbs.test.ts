/** Every verb of the command line, as a process against a server that is another one. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, References } from "effect"
import { KagziClient, Worker } from "../../src/index.ts"
import { Server } from "./cli.ts"
import { Help, leaves } from "./verbs/case.ts"
import { onNamespaces, onQueues, onServers, onWorkers } from "./verbs/operators.ts"
import { GreetLive, onRuns } from "./verbs/runs.ts"
import { onSchedules } from "./verbs/schedules.ts"

const verbs = [...onRuns, ...onSchedules, ...onWorkers, ...onQueues, ...onNamespaces, ...onServers]

/** They serve until a signal; server.test.ts runs them. */
const serving = ["server", "dev"]

const client = Layer.unwrap(Effect.map(Server, ({ address }) => KagziClient.layer({ address })))

const everything = Worker.layer({ taskQueue: "greet", workflows: [GreetLive] }).pipe(
  Layer.provideMerge(client),
  Layer.merge(Help.layer),
  Layer.provideMerge(Server.layer),
  Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Warn"))
)

layer(everything, { excludeTestServices: true, timeout: "60 seconds" })("the verbs", (it) => {
  it.effect("are all in this table", () =>
    Effect.gen(function* () {
      const names = [...serving, ...verbs.map(({ name }) => name)]
      assert.deepStrictEqual(names.sort(), [...leaves(yield* Help)].sort())
    })
  )

  for (const { json, name, table, wrong } of verbs) {
    it.effect(`${name} prints a table, prints JSON, and refuses what makes no sense`, () =>
      Effect.all([table, json, wrong], { concurrency: "unbounded", discard: true })
    )
  }
})
