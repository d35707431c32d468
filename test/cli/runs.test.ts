import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { run, Server } from "./cli.ts"

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

layer(Server.layer, { excludeTestServices: true })("commands on runs", (it) => {
  it.effect("start a run, once for each own id", () =>
    Effect.gen(function* () {
      const { json, kagzi } = yield* Server
      const first = yield* json(["workflow", "start", "once", "--id", "once-1", "--input", "{}"])
      assert.strictEqual(first.code, 0)
      assert.match(first.value.runId, uuid)
      assert.deepStrictEqual(first.value, { runId: first.value.runId, id: "once-1", alreadyExists: false })
      const second = yield* json(["workflow", "start", "once", "--id", "once-1"])
      assert.deepStrictEqual(second.value, { runId: first.value.runId, id: "once-1", alreadyExists: true })
      const third = yield* kagzi(["workflow", "start", "once", "--id", "once-2"])
      assert.match(third.stdout, /^Started run \S+ of once-2$/)
    })
  )

  it.effect("show all of a run, by its id and by one's own", () =>
    Effect.gen(function* () {
      const { json, kagzi } = yield* Server
      const started = yield* json(
        ["workflow", "start", "shown", "--queue", "shelf", "--id", "shown-1", "--version", "7", "--input", "-"],
        `{"sku": "a", "exact": 12345678901234567890}\n`
      )
      const { code, value } = yield* json(["workflow", "get", started.value.runId])
      assert.strictEqual(code, 0)
      assert.match(value.createdAt, instant)
      assert.deepStrictEqual(value, {
        runId: started.value.runId,
        id: "shown-1",
        namespace: "default",
        taskQueue: "shelf",
        workflowType: "shown",
        version: "7",
        status: "PENDING",
        input: { sku: "a", exact: Number("12345678901234567890") },
        attempts: 0,
        createdAt: value.createdAt
      })
      assert.deepStrictEqual((yield* json(["workflow", "get", "shown-1"])).value, value)
      const { stdout } = yield* kagzi(["workflow", "get", "shown-1"])
      assert.match(stdout, /^Run +[0-9a-f-]{36}$/m)
      assert.match(stdout, /^Queue +shelf$/m)
      // every digit, though no double has them
      assert.match(stdout, /^Input +\{"sku":"a","exact":12345678901234567890\}$/m)
    })
  )

  it.effect("find a run whose own id is a UUID", () =>
    Effect.gen(function* () {
      const { json, seed } = yield* Server
      const id = crypto.randomUUID()
      const runId = yield* seed("unnamed", id)
      assert.strictEqual((yield* json(["workflow", "get", id])).value.runId, runId)
    })
  )

  it.effect("take an input of null when there is none, and the queue of the type", () =>
    Effect.gen(function* () {
      const { json } = yield* Server
      const started = yield* json(["workflow", "start", "plain"])
      const { value } = yield* json(["workflow", "get", started.value.runId])
      assert.strictEqual(value.input, null)
      assert.strictEqual(value.taskQueue, "plain")
      assert.match(value.id, uuid)
    })
  )

  it.effect("list the newest runs first, by status, type and queue, up to a limit", () =>
    Effect.gen(function* () {
      const { json, kagzi, seed } = yield* Server
      for (const id of ["l1", "l2", "l3"]) yield* seed("listed", id, "lists")
      yield* json(["workflow", "cancel", "l2"])
      const ids = (args: ReadonlyArray<string>) =>
        Effect.map(json(["workflow", "list", ...args]), ({ value }) => value.map((run: { id: string }) => run.id))
      assert.deepStrictEqual(yield* ids(["--type", "listed"]), ["l3", "l2", "l1"])
      assert.deepStrictEqual(yield* ids(["--queue", "lists", "--limit", "2"]), ["l3", "l2"])
      assert.deepStrictEqual(yield* ids(["--type", "listed", "--status", "cancelled"]), ["l2"])
      assert.deepStrictEqual(yield* ids(["--type", "listed", "--status", "PENDING"]), ["l3", "l1"])
      const { stdout } = yield* kagzi(["workflow", "list", "--type", "listed"])
      const [header, ...rows] = stdout.split("\n")
      assert.match(header!, /^RUN +ID +TYPE +QUEUE +STATUS +CREATED$/)
      assert.deepStrictEqual(
        rows.map((row) => row.split(/ +/).slice(1, 5)),
        [
          ["l3", "listed", "lists", "PENDING"],
          ["l2", "listed", "lists", "CANCELLED"],
          ["l1", "listed", "lists", "PENDING"]
        ]
      )
      assert.strictEqual((yield* kagzi(["workflow", "list", "--type", "nothing"])).stdout, "No runs")
      assert.deepStrictEqual((yield* json(["workflow", "list", "--type", "nothing"])).value, [])
    })
  )

  it.effect("cancel a run, and refuse when it has ended", () =>
    Effect.gen(function* () {
      const { json, kagzi, seed } = yield* Server
      const runId = yield* seed("stopped", "c1")
      const cancelled = yield* json(["workflow", "cancel", "c1"])
      assert.deepStrictEqual(cancelled, { code: 0, value: { runId, status: "CANCELLED" } })
      const again = yield* kagzi(["workflow", "cancel", runId])
      assert.strictEqual(again.code, 1)
      assert.strictEqual(again.stdout, "")
      assert.match(again.stderr, /^kagzi: .*CANCELLED/)
      assert.notInclude(again.stderr, "\n")
    })
  )

  it.effect("terminate a run for a reason", () =>
    Effect.gen(function* () {
      const { json, seed } = yield* Server
      const runId = yield* seed("ended", "t1")
      const terminated = yield* json(["workflow", "terminate", "t1", "--reason", "out of stock"])
      assert.deepStrictEqual(terminated, { code: 0, value: { runId, status: "FAILED" } })
      const { value } = yield* json(["workflow", "get", runId])
      assert.strictEqual(value.status, "FAILED")
      assert.include(value.error.message, "out of stock")
      assert.match(value.finishedAt, instant)
    })
  )

  it.effect("retry a run that has ended, and no other", () =>
    Effect.gen(function* () {
      const { json, kagzi, seed } = yield* Server
      const runId = yield* seed("again", "r1")
      const refused = yield* kagzi(["workflow", "retry", "r1"])
      assert.strictEqual(refused.code, 1)
      yield* json(["workflow", "cancel", "r1"])
      const { code, value } = yield* json(["workflow", "retry", "r1"])
      assert.strictEqual(code, 0)
      assert.strictEqual(value.runId, runId)
      const { value: retried } = yield* json(["workflow", "get", value.newRunId])
      assert.strictEqual(retried.status, "PENDING")
      assert.strictEqual(retried.workflowType, "again")
    })
  )

  it.effect("name the run that is not there", () =>
    Effect.gen(function* () {
      const { kagzi } = yield* Server
      for (const id of ["nobody", "00000000-0000-7000-8000-000000000000"]) {
        const missing = yield* kagzi(["workflow", "get", id])
        assert.strictEqual(missing.code, 1)
        assert.strictEqual(missing.stdout, "")
        assert.match(missing.stderr, /^kagzi: .*/)
        assert.include(missing.stderr, id)
      }
    })
  )

  it.effect("keep namespaces apart, the flag before the variable", () =>
    Effect.gen(function* () {
      const { address } = yield* Server
      const environment = { KAGZI_SERVER_ADDRESS: address, KAGZI_NAMESPACE: "north" }
      yield* run(["workflow", "start", "moved", "--id", "n1"], { environment })
      const north = yield* run(["workflow", "get", "n1"], { environment })
      assert.match(north.stdout, /^Namespace +north$/m)
      const flag = yield* run(["-n", "default", "workflow", "get", "n1"], { environment })
      assert.strictEqual(flag.code, 1)
    })
  )

  it.effect("ask the server of the flag, not that of the variable", () =>
    Effect.gen(function* () {
      const { address } = yield* Server
      const environment = { KAGZI_SERVER_ADDRESS: "http://127.0.0.1:1" }
      assert.strictEqual((yield* run(["health"], { environment })).code, 1)
      assert.strictEqual((yield* run(["health", "--address", address], { environment })).code, 0)
    })
  )

  it.effect("tell of the server", () =>
    Effect.gen(function* () {
      const { json, kagzi } = yield* Server
      assert.strictEqual((yield* kagzi(["health"])).stdout, "The server is healthy")
      const health = yield* json(["health"])
      assert.strictEqual(health.code, 0)
      assert.strictEqual(health.value.serving, true)
      assert.isString(health.value.message)
      const info = yield* json(["info"])
      assert.strictEqual(info.code, 0)
      assert.hasAllKeys(info.value, ["version", "apiVersion", "supportedFeatures", "minSdkVersion"])
      assert.match((yield* kagzi(["info"])).stdout, /^Version +\d/)
    })
  )
})
