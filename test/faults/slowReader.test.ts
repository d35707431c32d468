/** A worker process that is stopped with SIGSTOP reads nothing, while there is a lot for it to read. */
import { execFileSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { KagziClient, Workflow } from "../../src/index.ts"
import * as Place from "./Place.ts"
import { Echo, Nap } from "./processes/workflows.ts"

const runs = 2_000
const textLength = 32 * 1024

const mebibyte = 1024 * 1024

/** Runs that cost the server the same, and that no worker takes. */
const Unserved = Workflow.make("unserved", { taskQueue: "unserved", input: Schema.Struct({ text: Schema.String }) })

/** The memory that a process has in use, in MiB. */
const memoryOf = (pid: number) =>
  (Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) * 1024) / mebibyte

describe(`a worker process that is stopped while ${runs} runs of ${textLength / 1024} KiB wait for it`, () => {
  for (const { environment, how, maxConcurrent } of [
    // As many at once as there are runs: nothing but the connection holds back what the server sends.
    { how: "keeps its place", environment: Place.patient, maxConcurrent: runs },
    { how: "is forgotten meanwhile", environment: Place.impatient, maxConcurrent: 100 }
  ]) {
    it.live(
      `costs the server little memory, and finishes all of them when it goes on, when it ${how}`,
      () =>
        Effect.gen(function* () {
          const place = yield* Place.makeRemote(environment, Place.seed)
          const { folder, server } = place
          const serverPid = server.process().pid
          yield* Effect.gen(function* () {
            const text = "x".repeat(textLength)
            /** Starts runs, and gives the most memory that the server had in use meanwhile. */
            const startAll = <A, E, R>(start: (number: number) => Effect.Effect<A, E, R>) =>
              Effect.gen(function* () {
                let most = 0
                const measure = Effect.sync(() => {
                  most = Math.max(most, memoryOf(serverPid))
                })
                const started = yield* Effect.forEach(
                  Array(runs).keys(),
                  (number) => Effect.andThen(number % 100 === 0 ? measure : Effect.void, start(number)),
                  { concurrency: 20 }
                )
                yield* measure
                return { started, most }
              })
            const worker = yield* place.worker({ maxConcurrent })
            // It says how much room it has when it has had a run.
            yield* Nap.execute({ folder, sleepMillis: 1 })
            yield* worker.signal("SIGSTOP")
            const unserved = yield* startAll(() => Unserved.start({ text }))
            const waiting = yield* startAll(() => Echo.start({ folder, text }))
            const { protocol } = yield* KagziClient
            const { running } = yield* protocol.queueDepth({ namespace: "default", taskQueue: Echo.taskQueue })
            process.stdout.write(
              `${unserved.most.toFixed()} MiB without a worker, ${waiting.most.toFixed()} MiB with a stopped one, ${running} runs on their way to it\n`
            )
            assert.isBelow(waiting.most - unserved.most, 128)
            assert.isBelow(running * textLength, 32 * mebibyte)
            assert.isFalse(place.ledger().some(({ step }) => step === "echo"))

            yield* place.openGate
            yield* worker.signal("SIGCONT")
            yield* Effect.forEach(
              waiting.started,
              ({ result }) => Effect.map(result, (output) => assert.strictEqual(output.length, textLength)),
              { concurrency: 100 }
            )
            assert.strictEqual(server.process().pid, serverPid)
          }).pipe(Effect.provide(place.client))
        }),
      120_000
    )
  }
})
