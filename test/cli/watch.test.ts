import { assert, layer } from "@effect/vitest"
import { Effect, Layer, References, Schema } from "effect"
import { KagziClient, KagziError, RetryPolicy, Step, Worker, Workflow } from "../../src/index.ts"
import { Server } from "./cli.ts"

const Nap = Workflow.make("nap", { output: Schema.String })

const NapLive = Nap.implement(
  Effect.fn(function* () {
    yield* Step.run("first", Effect.void)
    yield* Workflow.sleep("rest", "3 seconds")
    return yield* Step.run("second", Effect.succeed("awake"))
  })
)

const Break = Workflow.make("break", { taskQueue: "nap" })

const BreakLive = Break.implement(() =>
  Step.run("open", Effect.fail(KagziError.make("Unavailable", "stuck")), { retry: RetryPolicy.none })
)

const worker = Layer.unwrap(
  Effect.map(Server, ({ address }) =>
    Worker.layer({ taskQueue: "nap", workflows: [NapLive, BreakLive] }).pipe(
      Layer.provide(KagziClient.layer({ address }))
    )
  )
)

const quiet = Layer.succeed(References.MinimumLogLevel, "Warn")

layer(Layer.provideMerge(worker, Server.layer).pipe(Layer.provideMerge(quiet)), { excludeTestServices: true })(
  "watching a run",
  (it) => {
    it.effect("prints a line for each change, and the output", () =>
      Effect.gen(function* () {
        const { kagzi } = yield* Server
        yield* kagzi(["workflow", "start", "nap", "--id", "n1"])
        const { code, stdout } = yield* kagzi(["workflow", "watch", "n1"])
        const lines = stdout.split("\n")
        assert.include(lines, "first attempt 1 COMPLETED")
        assert.include(lines, "rest attempt 1 COMPLETED")
        assert.isTrue(lines.some((line) => /^nap \S+ SLEEPING$/.test(line)))
        assert.isTrue(lines.some((line) => /^nap \S+ COMPLETED$/.test(line)))
        assert.strictEqual(lines.at(-1), '"awake"')
        assert.strictEqual(code, 0)
      })
    )

    it.effect("prints one JSON object a line for scripts", () =>
      Effect.gen(function* () {
        const { kagzi } = yield* Server
        yield* kagzi(["workflow", "start", "nap", "--id", "n2"])
        const { stdout } = yield* kagzi(["workflow", "watch", "n2", "-o", "json"])
        const lines = stdout.split("\n").map((line) => JSON.parse(line))
        assert.isTrue(lines.some(({ step }) => step?.name === "second" && step.status === "COMPLETED"))
        assert.deepInclude(lines.at(-1).run, { id: "n2", status: "COMPLETED", output: "awake" })
      })
    )

    it.effect("fails with the run", () =>
      Effect.gen(function* () {
        const { kagzi } = yield* Server
        yield* kagzi(["workflow", "start", "break", "--queue", "nap", "--id", "n3"])
        const { code, stderr, stdout } = yield* kagzi(["workflow", "watch", "n3"])
        assert.include(stdout, "open attempt 1 FAILED: stuck")
        assert.include(stderr, "stuck")
        assert.strictEqual(code, 1)
      })
    )
  }
)
