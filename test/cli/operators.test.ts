/** What operators do: workers, task queues and namespaces, as tables and as JSON. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { KagziClient } from "../../src/index.ts"
import { Server } from "./cli.ts"

/** Registers a worker for as long as the scope lives. */
const connect = Effect.fnUntraced(function* (taskQueue: string) {
  const { address } = yield* Server
  const context = yield* Layer.build(KagziClient.layer({ address }))
  const { protocol } = yield* KagziClient.pipe(Effect.provide(context))
  return yield* protocol.connect({
    namespace: "default",
    taskQueue,
    workflowTypes: ["order", "mail"],
    hostname: "machine",
    pid: 42,
    instanceId: "",
    version: "3",
    labels: { region: "eu" },
    queueConcurrencyLimit: 5,
    workflowTypeConcurrency: { order: 2 },
    held: () => []
  })
})

layer(Server.layer, { excludeTestServices: true, timeout: "60 seconds" })("operators", (it) => {
  it.effect("list, show and drain workers", () =>
    Effect.gen(function* () {
      const { json, kagzi } = yield* Server
      const { workerId } = yield* connect("watched")
      const listed = yield* json(["worker", "list", "--queue", "watched"])
      assert.strictEqual(listed.code, 0)
      assert.lengthOf(listed.value, 1)
      const { lastHeartbeatAt, registeredAt, ...worker } = listed.value[0]
      assert.deepStrictEqual(worker, {
        workerId,
        taskQueue: "watched",
        status: "ONLINE",
        version: "3",
        workflowTypes: ["order", "mail"],
        hostname: "machine",
        pid: 42,
        labels: { region: "eu" },
        activeRuns: 0,
        queueConcurrencyLimit: 5,
        workflowTypeConcurrency: { order: 2 }
      })
      assert.match(registeredAt, /^\d{4}-.*Z$/)
      assert.match(lastHeartbeatAt, /^\d{4}-.*Z$/)
      assert.deepInclude((yield* json(["worker", "get", workerId])).value, worker)

      const table = (yield* kagzi(["worker", "list"])).stdout
      assert.match(table, /^WORKER +QUEUE +STATUS +RUNS +HOST +PID +TYPES +LAST SEEN\n/)
      assert.include(table, workerId)
      const shown = (yield* kagzi(["worker", "get", workerId])).stdout
      assert.match(shown, /Labels +region=eu\n/)
      assert.match(shown, /Queue limit +5\n/)
      assert.match(shown, /Type limits +order=2\n/)

      assert.deepStrictEqual((yield* json(["worker", "drain", workerId])).value, {
        workerId,
        status: "DRAINING",
        activeRuns: 0
      })
      assert.include((yield* kagzi(["worker", "drain", workerId])).stdout, "takes no more runs")
      assert.lengthOf((yield* json(["worker", "list", "--status", "draining"])).value, 1)
      assert.include((yield* kagzi(["worker", "list", "--status", "offline"])).stdout, "No workers")
      const missing = yield* kagzi(["worker", "get", "00000000-0000-7000-8000-000000000000"])
      assert.deepStrictEqual([missing.code, missing.stdout], [1, ""])
      assert.include(missing.stderr, "There is no worker")
    }).pipe(Effect.scoped)
  )

  it.effect("see what waits on task queues", () =>
    Effect.gen(function* () {
      const { json, kagzi, seed } = yield* Server
      assert.deepStrictEqual((yield* json(["queue", "depth", "none"])).value, {
        taskQueue: "none",
        pending: 0,
        running: 0,
        sleeping: 0
      })
      yield* seed("order", "queued-1", "line")
      yield* seed("order", "queued-2", "line")
      yield* seed("mail", "queued-3", "mailbox")
      yield* connect("idle")
      const { value } = yield* json(["queue", "list"])
      assert.deepInclude(value, { taskQueue: "line", pending: 2, running: 0, sleeping: 0, workers: 0 })
      assert.deepInclude(value, { taskQueue: "idle", pending: 0, running: 0, sleeping: 0, workers: 1 })
      const table = (yield* kagzi(["queue", "list"])).stdout
      assert.match(table, /^QUEUE +PENDING +RUNNING +SLEEPING +WORKERS\n/)
      assert.match(table, /line +2 +0 +0 +0(\n|$)/)
      assert.strictEqual((yield* json(["queue", "depth", "line"])).value.pending, 2)
      assert.isAtLeast((yield* json(["queue", "depth"])).value.pending, 3)
      assert.match((yield* kagzi(["queue", "depth", "line"])).stdout, /Pending +2/)
      assert.strictEqual((yield* kagzi(["queue", "list", "-n", "nothing-here"])).stdout, "No task queues")
    }).pipe(Effect.scoped)
  )

  it.effect("make namespaces, change them, and switch them off and on", () =>
    Effect.gen(function* () {
      const { json, kagzi } = yield* Server
      const made = yield* json(["namespace", "create", "shop", "--display-name", "The Shop"])
      assert.strictEqual(made.code, 0)
      const { createdAt, id, updatedAt, ...fields } = made.value
      assert.deepStrictEqual(fields, { name: "shop", displayName: "The Shop", description: "", enabled: true })
      assert.deepStrictEqual((yield* json(["namespace", "get", "shop"])).value, made.value)
      const twice = yield* kagzi(["namespace", "create", "shop"])
      assert.deepStrictEqual([twice.code, twice.stdout], [1, ""])
      assert.include(twice.stderr, "There is already a namespace shop")

      const updated = yield* json(["namespace", "update", "shop", "--description", "sells"])
      assert.deepInclude(updated.value, { id, createdAt, displayName: "The Shop", description: "sells" })
      const nothing = yield* kagzi(["namespace", "update", "shop"])
      assert.deepStrictEqual([nothing.code, nothing.stdout], [2, ""])

      assert.isFalse((yield* json(["namespace", "disable", "shop"])).value.enabled)
      const refused = yield* kagzi(["workflow", "start", "order", "-n", "shop"])
      assert.strictEqual(refused.code, 1)
      assert.include(refused.stderr, "is disabled")
      assert.isTrue((yield* json(["namespace", "enable", "shop"])).value.enabled)
      assert.match((yield* kagzi(["namespace", "get", "shop"])).stdout, /Enabled +yes\n/)

      const listed = (yield* json(["namespace", "list"])).value
      assert.deepStrictEqual(
        listed.map(({ name }: { name: string }) => name),
        ["default", "shop"]
      )
      assert.lengthOf((yield* json(["namespace", "list", "--limit", "1"])).value, 1)
      assert.match((yield* kagzi(["namespace", "list"])).stdout, /^NAME +DISPLAY NAME +ENABLED +CREATED\n/)
      assert.strictEqual((yield* kagzi(["namespace", "get", "none"])).code, 1)
    })
  )

  it.effect("have completions for their shells", () =>
    Effect.gen(function* () {
      const { kagzi } = yield* Server
      for (const shell of ["bash", "zsh", "fish"]) {
        const { code, stdout } = yield* kagzi(["--completions", shell])
        assert.strictEqual(code, 0, shell)
        for (const command of ["namespace", "queue", "worker", "drain"]) assert.include(stdout, command, shell)
      }
    })
  )
})
