import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer, References, Schema } from "effect"
import { KagziClient, KagziError, RetryPolicy, Step, Worker, Workflow } from "../../src/index.ts"
import { Server, start } from "./cli.ts"

const Add = Workflow.make("add", { input: Schema.Array(Schema.Finite), output: Schema.Finite })

const AddLive = Add.implement(
  Effect.fn(function* (numbers) {
    const sum = yield* Step.run("sum", Effect.succeed(numbers.reduce((a, b) => a + b, 0)), { input: numbers })
    yield* Workflow.sleep("nap", "1 millis")
    return sum
  })
)

const Break = Workflow.make("break", { taskQueue: "add" })

const BreakLive = Break.implement(() =>
  Step.run("open", Effect.fail(KagziError.make("Unavailable", "the drawer\nis stuck")), {
    retry: RetryPolicy.fixed("1 millis", { maximumAttempts: 2 })
  })
)

const Refuse = Workflow.make("refuse", { taskQueue: "add" })

const RefuseLive = Refuse.implement(() => Effect.fail(KagziError.make("Unavailable", "not today")))

/** A worker in this process, for a server in another. */
const worker = Layer.unwrap(
  Effect.map(Server, ({ address }) =>
    Worker.layer({ taskQueue: "add", workflows: [AddLive, BreakLive, RefuseLive] }).pipe(
      Layer.provide(KagziClient.layer({ address }))
    )
  )
)

const quiet = Layer.succeed(References.MinimumLogLevel, "Warn")

layer(Layer.provideMerge(worker, Server.layer).pipe(Layer.provideMerge(quiet)), { excludeTestServices: true })(
  "results of runs",
  (it) => {
    it.effect("are printed by execute", () =>
      Effect.gen(function* () {
        const { kagzi } = yield* Server
        const { code, stderr, stdout } = yield* kagzi([
          "workflow",
          "execute",
          "add",
          "--id",
          "a1",
          "--input",
          "[1, 2, 3]"
        ])
        assert.strictEqual(stdout, "6")
        assert.match(stderr, /^Started run \S+ of a1$/)
        assert.strictEqual(code, 0)
      })
    )

    it.effect("are printed for scripts, with the steps that led there", () =>
      Effect.gen(function* () {
        const { json, kagzi } = yield* Server
        const { code, value } = yield* json(["workflow", "execute", "add", "--id", "a2", "--input", "-"], "[4, 5]")
        assert.strictEqual(code, 0)
        assert.deepStrictEqual(value, { runId: value.runId, id: "a2", status: "COMPLETED", output: 9 })
        assert.deepStrictEqual((yield* json(["workflow", "result", "a2"])).value, value)
        assert.strictEqual((yield* kagzi(["workflow", "result", value.runId])).stdout, "9")
        const { value: steps } = yield* json(["workflow", "steps", "a2"])
        const [sum, nap] = steps
        assert.strictEqual(steps.length, 2)
        assert.deepStrictEqual(
          [sum.name, sum.kind, sum.status, sum.attempt, sum.input, sum.output],
          ["sum", "FUNCTION", "COMPLETED", 1, [4, 5], 9]
        )
        assert.deepStrictEqual([nap.name, nap.kind, nap.status, nap.cancelled], ["nap", "SLEEP", "COMPLETED", false])
        for (const time of [sum.createdAt, sum.startedAt, sum.finishedAt, nap.dueAt]) {
          assert.strictEqual(new Date(time).toISOString(), time)
        }
      })
    )

    it.effect("are exit code 1 of a run that failed, and its error", () =>
      Effect.gen(function* () {
        const { json, kagzi } = yield* Server
        const failed = yield* kagzi(["workflow", "execute", "break", "--queue", "add", "--id", "b1"])
        assert.strictEqual(failed.code, 1)
        assert.strictEqual(failed.stdout, "")
        const [said, why, ...more] = failed.stderr.split("\n")
        assert.match(said!, /^Started run /)
        assert.match(why!, /^kagzi: Run \S+ failed: .*the drawer is stuck/)
        assert.deepStrictEqual(more, [])
        const { code, value } = yield* json(["workflow", "result", "b1"])
        assert.strictEqual(code, 1)
        assert.strictEqual(value.status, "FAILED")
        assert.strictEqual(value.error.code, "Unavailable")
        assert.include(value.error.message, "the drawer\nis stuck")
        assert.notProperty(value, "output")
        const { stdout } = yield* kagzi(["workflow", "steps", "b1"])
        const [header, ...rows] = stdout.split("\n")
        assert.match(header!, /^STEP +KIND +ATTEMPT +STATUS +CREATED +TOOK +ERROR$/)
        assert.deepStrictEqual(
          rows.map((row) => row.split(/ +/).slice(0, 4)),
          [
            ["open", "FUNCTION", "1", "FAILED"],
            ["open", "FUNCTION", "2", "FAILED"]
          ]
        )
        assert.include(rows[0]!, "the drawer\\nis stuck")
      })
    )

    it.effect("are asked for as often as --retries says", () =>
      Effect.gen(function* () {
        const { json } = yield* Server
        const ended = yield* json(["workflow", "execute", "refuse", "--queue", "add", "--id", "f1", "--retries", "2"])
        assert.strictEqual(ended.code, 1)
        assert.strictEqual((yield* json(["workflow", "get", "f1"])).value.attempts, 2)
      })
    )

    it.effect("are exit code 1 of a run that was cancelled", () =>
      Effect.gen(function* () {
        const { json, kagzi, seed } = yield* Server
        yield* seed("nobody-serves-this", "s1")
        const waiting = yield* Effect.forkChild(json(["workflow", "result", "s1"]))
        assert.strictEqual((yield* kagzi(["workflow", "cancel", "s1"])).code, 0)
        const { code, value } = yield* Fiber.join(waiting)
        assert.strictEqual(code, 1)
        assert.strictEqual(value.status, "CANCELLED")
      })
    )

    it.effect("are waited for until a signal", () =>
      Effect.gen(function* () {
        const { address } = yield* Server
        const waiting = yield* start(["workflow", "execute", "nobody-serves-this"], {
          environment: { KAGZI_SERVER_ADDRESS: address }
        })
        yield* waiting.complaint(/^Started run/m)
        yield* waiting.signal("SIGINT")
        assert.strictEqual(yield* waiting.ended, 130)
      })
    )
  }
)
