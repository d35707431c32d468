/** The verbs of operators: on workers, task queues, namespaces and the server. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { KagziClient } from "../../../src/index.ts"
import type { Json } from "../cli.ts"
import { fields, rows, type Verb, verb } from "./case.ts"
import { having, only, own, waiting } from "./fixtures.ts"

/** A worker that is there until the test ends. */
const worker = (taskQueue: string) =>
  Effect.gen(function* () {
    const { namespace, protocol } = yield* KagziClient
    const { workerId } = yield* protocol.connect({
      ...{ namespace, taskQueue, workflowTypes: ["order", "mail"], hostname: "machine", pid: 42, instanceId: "" },
      ...{ version: "3", labels: { region: "eu" }, queueConcurrencyLimit: 5, workflowTypeConcurrency: { order: 2 } },
      held: () => []
    })
    return { taskQueue, workerId }
  })

const namespace = (enabled: boolean) => (name: string) =>
  Effect.gen(function* () {
    const { namespaces } = yield* KagziClient
    yield* namespaces.create(name, { displayName: "The Shop" })
    if (!enabled) yield* namespaces.disable(name)
    return name
  })

const parsedWorker = {
  ...{ status: "ONLINE", version: "3", workflowTypes: ["order", "mail"], hostname: "machine", pid: 42, activeRuns: 0 },
  ...{ labels: { region: "eu" }, queueConcurrencyLimit: 5, workflowTypeConcurrency: { order: 2 } }
}
const workerTimes = ["registeredAt", "lastHeartbeatAt"]

export const onWorkers: ReadonlyArray<Verb> = [
  verb("worker list", {
    given: worker,
    args: ({ taskQueue }) => ["--queue", taskQueue],
    table: (stdout, { taskQueue, workerId }) => {
      assert.match(stdout, /^WORKER +QUEUE +STATUS +RUNS +HOST +PID +TYPES +LAST SEEN\n/)
      assert.deepInclude(only(rows(stdout)), {
        ...{ WORKER: workerId, QUEUE: taskQueue, STATUS: "ONLINE", RUNS: "0", HOST: "machine", PID: "42" },
        TYPES: "order, mail"
      })
    },
    json: (value, fixture) => having(only(value), { ...parsedWorker, ...fixture }, ...workerTimes),
    wrong: [["--status", "gone"], "one of online, draining, offline"]
  }),
  verb("worker get", {
    given: worker,
    args: ({ workerId }) => [workerId],
    table: (stdout, { taskQueue, workerId }) =>
      assert.deepInclude(fields(stdout), {
        ...{ Worker: workerId, Queue: taskQueue, Status: "ONLINE", Version: "3", Types: "order, mail", Process: "42" },
        ...{ Labels: "region=eu", "Queue limit": "5", "Type limits": "order=2" }
      }),
    json: (value, fixture) => having(value, { ...parsedWorker, ...fixture }, ...workerTimes),
    wrong: [[], "Missing required argument: worker"]
  }),
  verb("worker drain", {
    given: worker,
    args: ({ workerId }) => [workerId],
    table: (stdout, { workerId }) =>
      assert.strictEqual(stdout, `Worker ${workerId} takes no more runs; it has 0 to finish`),
    json: (value, { workerId }) => having(value, { workerId, status: "DRAINING", activeRuns: 0 }),
    wrong: [[], "Missing required argument: worker"]
  })
]

export const onQueues: ReadonlyArray<Verb> = [
  verb("queue list", {
    given: waiting,
    table: (stdout, { id }) => {
      assert.match(stdout, /^QUEUE +PENDING +RUNNING +SLEEPING +WORKERS\n/)
      assert.deepInclude(rows(stdout), { QUEUE: id, PENDING: "1", RUNNING: "0", SLEEPING: "0", WORKERS: "0" })
    },
    json: (value, { id }) =>
      having(
        value.find(({ taskQueue }: Json) => taskQueue === id),
        { pending: 1, running: 0, sleeping: 0, workers: 0 }
      ),
    wrong: [["another"], "another"]
  }),
  verb("queue depth", {
    given: waiting,
    args: ({ id }) => [id],
    table: (stdout, { id }) =>
      assert.deepStrictEqual(fields(stdout), { Queue: id, Pending: "1", Running: "0", Sleeping: "0" }),
    json: (value, { id }) => having(value, { taskQueue: id, pending: 1, running: 0, sleeping: 0 }),
    wrong: [["one", "another"], "another"]
  })
]

const shown = (name: string) => ({ Name: name, "Display name": "The Shop", Enabled: "yes" })
const parsed = (name: string) => ({ name, displayName: "The Shop", description: "", enabled: true })
const namespaceTimes = ["createdAt", "updatedAt"]

export const onNamespaces: ReadonlyArray<Verb> = [
  verb("namespace create", {
    given: own,
    args: (name) => [name, "--display-name", "The Shop"],
    table: (stdout, name) => assert.deepInclude(fields(stdout), shown(name)),
    json: (value, name) => having(value, parsed(name), ...namespaceTimes),
    wrong: [["--display-name", "The Shop"], "Missing required argument: name"]
  }),
  verb("namespace list", {
    given: namespace(true),
    args: () => ["--limit", "100"],
    table: (stdout, name) => {
      assert.match(stdout, /^NAME +DISPLAY NAME +ENABLED +CREATED\n/)
      const row = rows(stdout).find(({ NAME }) => NAME === name)
      assert.deepInclude(row, { "DISPLAY NAME": "The Shop", ENABLED: "yes" })
    },
    json: (value, name) =>
      having(
        value.find((found: Json) => found.name === name),
        parsed(name),
        ...namespaceTimes
      ),
    wrong: [["--limit", "0"], "1 or more"]
  }),
  verb("namespace get", {
    given: namespace(true),
    args: (name) => [name],
    table: (stdout, name) => assert.deepInclude(fields(stdout), shown(name)),
    json: (value, name) => having(value, parsed(name), ...namespaceTimes),
    wrong: [[], "Missing required argument: name"]
  }),
  verb("namespace update", {
    given: namespace(true),
    args: (name) => [name, "--description", "sells"],
    table: (stdout, name) => assert.deepInclude(fields(stdout), { ...shown(name), Description: "sells" }),
    json: (value, name) => having(value, { ...parsed(name), description: "sells" }, ...namespaceTimes),
    wrong: [["shop"], "Nothing to update"]
  }),
  verb("namespace enable", {
    given: namespace(false),
    args: (name) => [name],
    table: (stdout, name) => assert.deepInclude(fields(stdout), shown(name)),
    json: (value, name) => having(value, parsed(name), ...namespaceTimes),
    wrong: [[], "Missing required argument: name"]
  }),
  verb("namespace disable", {
    given: namespace(true),
    args: (name) => [name],
    table: (stdout, name) => assert.deepInclude(fields(stdout), { ...shown(name), Enabled: "no" }),
    json: (value, name) => having(value, { ...parsed(name), enabled: false }, ...namespaceTimes),
    wrong: [["one", "another"], "another"]
  })
]

export const onServers: ReadonlyArray<Verb> = [
  verb("health", {
    given: own,
    table: (stdout) => assert.strictEqual(stdout, "The server is healthy"),
    json: (value) => having(value, { serving: true }),
    wrong: [["--address", "ftp://a"], "the scheme must be http or https"]
  }),
  verb("info", {
    given: own,
    table: (stdout) => {
      assert.match(fields(stdout).Version!, /^\d+\.\d+\.\d+$/)
      assert.include(fields(stdout).Features, "execution.v1")
    },
    json: (value) => {
      assert.match(value.version, /^\d+\.\d+\.\d+$/)
      assert.include(value.supportedFeatures, "execution.v1")
      return having(value, {})
    },
    wrong: [["another"], "another"]
  })
]
