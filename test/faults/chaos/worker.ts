/** A worker process with a witness in it: `node worker.ts <name> <folder of the ledger>`. SIGTERM drains it. */
import { writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer, Logger, References } from "effect"
import * as KagziClient from "../../../src/KagziClient.ts"
import { Witness } from "../../../src/testing/simulator/Witness.ts"
import { patiently, workflows } from "../../../src/testing/simulator/workload.ts"
import * as Worker from "../../../src/Worker.ts"
import { notes } from "./ledger.ts"
import { limit, LimitedLive } from "./limited.ts"
import { real, silent } from "./post.ts"

const [name = "", folder = ""] = process.argv.slice(2)

const main = Effect.gen(function* () {
  const { protocol } = yield* KagziClient.KagziClient
  const witness = new Witness(notes(folder), real(name), silent)
  const [first, ...others] = workflows
  yield* Effect.sync(() => writeSync(1, "working\n"))
  // for others: killed, it would keep nothing of what it has compiled
  yield* Effect.sync(flushCompileCache)
  // so few that all workers always have some
  const options = { maxConcurrent: 5, gracePeriod: "2 seconds", hostname: name } as const
  const manySorts = Worker.run({
    ...options,
    taskQueue: first.definition.taskQueue,
    workflows: [witness.workflow(first), ...others.map((workflow) => witness.workflow(workflow))]
  })
  const fewAtATime = Worker.run({
    ...options,
    taskQueue: LimitedLive.definition.taskQueue,
    workflows: [witness.workflow(LimitedLive)],
    queueConcurrencyLimit: limit
  })
  // there may be no server yet
  yield* Effect.forEach([manySorts, fewAtATime], patiently, { concurrency: "unbounded", discard: true }).pipe(
    Effect.provideService(KagziClient.KagziClient, KagziClient.make(witness.protocol(protocol)))
  )
}).pipe(
  Effect.scoped,
  Effect.provide(KagziClient.KagziClient.layerConfig),
  Effect.provide(
    Layer.mergeAll(
      Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]),
      Layer.succeed(References.MinimumLogLevel, "Error")
    )
  )
)

NodeRuntime.runMain(main, {
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
