/** A worker process that is stopped with SIGSTOP, and goes on when its run is another's. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import * as NodeRpc from "../../src/protocol/node.ts"
import * as Rpc from "../../src/protocol/Rpc.ts"
import * as Place from "./Place.ts"
import { Gated, Nap } from "./processes/workflows.ts"

/** Ends a step under a lease, as a worker would. */
const completeStep = (place: Place.Place, stepId: string, runId: string, lease: number) =>
  Effect.gen(function* () {
    const { completeStep } = Rpc.client(WorkerService, yield* Rpc.Rpc)
    return yield* completeStep(
      {
        namespace: "default",
        runId,
        stepId,
        output: { data: new TextEncoder().encode('"late"'), metadata: {} }
      },
      { headers: { "kagzi-lease": String(lease) } }
    )
  }).pipe(Effect.provide(Layer.orDie(NodeRpc.layer({ address: place.server.address }))))

const cases = [
  {
    how: "sends the end of its step after its lease ran out",
    blocking: true,
    forgotten: false,
    environment: { ...Place.impatient, KAGZI_WORKER_STALE_SECS: "3600" }
  },
  {
    how: "learns that the server has forgotten it",
    blocking: false,
    forgotten: true,
    // Nothing but the end of the worker's registration frees the run.
    environment: { ...Place.impatient, KAGZI_WORKER_LEASE_SECS: "3600" }
  }
]

const over = [
  { connection: "", cutting: false },
  { connection: `, over connections that are cut every 200 ms (KAGZI_TEST_SEED=${Place.seed})`, cutting: true }
]

describe.each(over)(
  "a worker process that is stopped in a step until its run is another's$connection",
  ({ cutting }) => {
    for (const { blocking, environment, forgotten, how } of cases) {
      it.live(`changes nothing when it ${how}, and goes on with new runs`, () =>
        Effect.gen(function* () {
          const place = yield* Place.makeRemote(environment, Place.seed)
          const { folder } = place
          if (cutting) yield* place.startCutting
          yield* Effect.gen(function* () {
            const stale = yield* place.worker()
            yield* Place.registered(stale)
            const started = Gated.start(
              { folder, blocking, sleepMillis: 0 },
              { id: "gated", ifExists: "return-finished" }
            )
            const run = yield* Place.answered(started)
            const steps = Place.answered(run.steps)
            const description = Place.answered(run.describe)
            yield* place.written({ deed: "executed", step: "gated", pid: stale.pid })
            yield* stale.signal("SIGSTOP")

            const other = yield* place.worker()
            yield* place.written({ deed: "executed", step: "gated", pid: other.pid })
            // A step whose code holds its process up is on record when it has ended, and not before.
            const begun = yield* steps
            const { stepId } = begun[1] ?? begun[0]!
            const refusal = yield* Effect.flip(completeStep(place, stepId, run.runId, 1))
            assert.strictEqual(refusal._tag, "PreconditionFailed")
            assert.deepStrictEqual((yield* steps)[0], begun[0])

            yield* place.openGate
            assert.deepStrictEqual(yield* run.result, ["before", "gated", "after"])
            const record = { run: yield* description, steps: yield* steps }
            assert.deepStrictEqual(
              record.steps.map(({ attempt, name, status }) => ({ attempt, name, status })),
              ["before", "gated", "after"].map((name) => ({ attempt: 1, name, status: "COMPLETED" }))
            )

            // Whoever takes the next run, it can only be the stale worker.
            yield* other.signal("SIGTERM")
            assert.strictEqual(yield* other.ended, 0)
            yield* stale.signal("SIGCONT")
            const nap = yield* Place.answered(
              Nap.start({ folder, sleepMillis: 1 }, { id: "nap", ifExists: "return-finished" })
            )
            assert.deepStrictEqual(yield* nap.result, ["before", "after"])

            assert.deepStrictEqual({ run: yield* description, steps: yield* steps }, record)
            const ofRun = place.ledger().filter((entry) => entry.run === run.runId)
            const pidsOf = (deed: string, step: string) =>
              ofRun.filter((entry) => entry.deed === deed && entry.step === step).map(({ pid }) => pid)
            assert.deepStrictEqual(pidsOf("executed", "before"), [stale.pid])
            assert.deepStrictEqual(pidsOf("executed", "gated"), [stale.pid, other.pid])
            assert.deepStrictEqual(pidsOf("acknowledged", "gated"), [other.pid])
            assert.deepStrictEqual(pidsOf("executed", "after"), [other.pid])
            // It got to the end of the step's code, and so to telling the server of it.
            if (blocking) assert.deepStrictEqual(pidsOf("left", "gated"), [other.pid, stale.pid])

            const ids = stale.lines().filter((line) => line.startsWith("registered "))
            assert.strictEqual(new Set(ids).size, forgotten ? 2 : 1)
            yield* stale.signal("SIGTERM")
            assert.strictEqual(yield* stale.ended, 0)

            const { cuts, ...counts } = place.proxies.workers.counts()
            assert.strictEqual(cuts > 0, cutting)
            Place.wereSessions({ cuts, ...counts })
          }).pipe(Effect.provide(place.client))
        })
      )
    }
  }
)
