/**
 * A worker as a process of its own. Ctrl-C and SIGTERM end it in good order: it takes no new run, what it is doing may
 * end within the grace period, runs that wait are let go, and it signs off at the server.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Console, Effect, Exit, References } from "effect"
import { KagziClient, Worker } from "kagzi"
import { PackLive } from "./pack.ts"

Worker.run({ taskQueue: "orders", workflows: [PackLive], gracePeriod: "10 seconds" }).pipe(
  Effect.ensuring(Console.log("the worker has signed off")),
  Effect.provide(KagziClient.layerConfig),
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  NodeRuntime.runMain({
    // To be stopped is no failure: exit code 0, where it would be 130.
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
  })
)
