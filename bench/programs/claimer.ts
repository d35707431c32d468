/**
 * A worker process that takes runs and does nothing with them, to be killed: `node claimer.ts <runs>`. It says `ready`,
 * and then `claimed <run id> <server's time of the claim, in milliseconds since the epoch>` for each.
 */
import { writeSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Option } from "effect"
import { KagziClient } from "../../src/index.ts"
import { Orphan } from "./workflows.ts"

const runs = Number(process.argv[2])

const main = Effect.gen(function* () {
  const { namespace, protocol } = yield* KagziClient
  const link = yield* protocol.connect({
    namespace,
    taskQueue: Orphan.taskQueue,
    workflowTypes: [Orphan.name],
    hostname: "bench",
    pid: process.pid,
    instanceId: String(process.pid),
    version: "",
    labels: {},
    workflowTypeConcurrency: {},
    // Renews no lease, so that each ends at the time of its claim and the length of a lease.
    held: () => []
  })
  writeSync(1, "ready\n")
  for (let claimed = 0; claimed < runs; ) {
    const task = yield* link.poll
    if (Option.isNone(task)) continue
    claimed++
    writeSync(1, `claimed ${task.value.runId} ${task.value.claimedAt}\n`)
  }
  yield* Effect.never
}).pipe(Effect.scoped, Effect.provide(KagziClient.layerConfig))

NodeRuntime.runMain(main)
