/** The verbs of `kagzi workflow`. They need a worker that serves `greet`. */
import { assert } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { KagziClient, Step, Workflow } from "../../../src/index.ts"
import type { Json } from "../cli.ts"
import { fields, rows, type Verb, verb } from "./case.ts"
import { having, input, nothing, only, own, unstarted, uuid, waiting } from "./fixtures.ts"

const Greet = Workflow.make("greet", {
  input: Schema.Struct({ name: Schema.String }),
  output: Schema.String
})

export const GreetLive = Greet.implement(
  Effect.fn(function* ({ name }) {
    const greeting = yield* Step.run("word", Effect.succeed(`Hello ${name}`), { input: name })
    yield* Workflow.sleep("pause", "1 millis")
    return greeting
  })
)

/** A run that a worker has finished. */
const done = (id: string) =>
  Effect.gen(function* () {
    const { namespace, protocol } = yield* KagziClient
    const { runId } = yield* protocol.start({
      ...{ namespace, externalId: id, taskQueue: "greet", workflowType: "greet", version: "" },
      ...{ input, ifExists: "use-active" }
    })
    yield* protocol.awaitRun(namespace, runId)
    return { id, runId }
  })

/** A run that was cancelled. */
const ended = (id: string) =>
  Effect.gen(function* () {
    const { namespace, protocol } = yield* KagziClient
    const { runId } = yield* waiting(id)
    yield* protocol.cancelRun(namespace, runId)
    return { id, runId }
  })

const runOf = ({ runId }: { readonly runId: string }) => [runId]

export const onRuns: ReadonlyArray<Verb> = [
  verb("workflow start", {
    given: own,
    args: (id) => ["unserved", "--id", id],
    table: (stdout, id) => assert.match(stdout, new RegExp(`^Started run [0-9a-f-]{36} of ${id}$`)),
    json: (value, id) => {
      assert.match(value.runId, uuid)
      return having(value, { id, alreadyExists: false })
    },
    wrong: [["greet", "--retries", "-1"], "0 or more"]
  }),
  verb("workflow execute", {
    given: own,
    args: (id) => ["greet", "--id", id, "--input", `{"name":"Ada"}`],
    said: /^Started run [0-9a-f-]{36} of workflow-execute-table$/,
    table: (stdout) => assert.strictEqual(stdout, `"Hello Ada"`),
    json: (value, id) => having(value, { id, status: "COMPLETED", output: "Hello Ada" }),
    absent: ["error"],
    wrong: [["greet", "--input", "{"], "The input is not JSON"]
  }),
  verb("workflow get", {
    given: done,
    args: ({ id }) => [id],
    table: (stdout, { id, runId }) =>
      assert.deepInclude(fields(stdout), {
        ...{ Run: runId, Id: id, Namespace: "default", Type: "greet", Queue: "greet", Status: "COMPLETED" },
        ...{ Input: `{"name":"Ada"}`, Output: `"Hello Ada"` }
      }),
    json: (value, { id, runId }) =>
      having(
        value,
        {
          ...{ runId, id, namespace: "default", taskQueue: "greet", workflowType: "greet", status: "COMPLETED" },
          ...{ input: { name: "Ada" }, output: "Hello Ada" }
        },
        ...["createdAt", "startedAt", "finishedAt"]
      ),
    absent: [...nothing, "scheduleId"],
    wrong: [[], "Missing required argument: run"]
  }),
  verb("workflow list", {
    given: waiting,
    args: ({ id }) => ["--queue", id],
    table: (stdout, { id, runId }) => {
      assert.match(stdout, /^RUN +ID +TYPE +QUEUE +STATUS +CREATED\n/)
      assert.deepInclude(only(rows(stdout)), { RUN: runId, ID: id, TYPE: "unserved", QUEUE: id, STATUS: "PENDING" })
    },
    json: (value, { id, runId }) =>
      having(only(value), { runId, id, taskQueue: id, workflowType: "unserved", status: "PENDING" }, "createdAt"),
    absent: [...unstarted, "scheduleId"],
    wrong: [["--status", "done"], "one of pending, running"]
  }),
  verb("workflow steps", {
    given: done,
    args: runOf,
    table: (stdout) => {
      const [word, pause] = rows(stdout)
      assert.match(stdout, /^STEP +KIND +ATTEMPT +STATUS +CREATED +TOOK +ERROR\n/)
      assert.deepInclude(word, { STEP: "word", KIND: "FUNCTION", ATTEMPT: "1", STATUS: "COMPLETED" })
      assert.deepInclude(pause, { STEP: "pause", KIND: "SLEEP", ATTEMPT: "1", STATUS: "COMPLETED" })
    },
    json: (value) => {
      assert.deepInclude(value[1], { name: "pause", kind: "SLEEP", status: "COMPLETED" })
      return having(
        value[0],
        { name: "word", kind: "FUNCTION", status: "COMPLETED", attempt: 1, input: "Ada", output: "Hello Ada" },
        ...["createdAt", "startedAt", "finishedAt"]
      )
    },
    absent: ["error", "dueAt", "childRunId"],
    wrong: [["one", "another"], "another"]
  }),
  verb("workflow result", {
    given: done,
    args: runOf,
    table: (stdout) => assert.strictEqual(stdout, `"Hello Ada"`),
    json: (value, { id, runId }) => having(value, { runId, id, status: "COMPLETED", output: "Hello Ada" }),
    absent: ["error"],
    wrong: [[], "Missing required argument: run"]
  }),
  verb("workflow watch", {
    given: done,
    args: runOf,
    table: (stdout, { runId }) =>
      assert.deepStrictEqual(stdout.split("\n"), [
        "word attempt 1 COMPLETED",
        "pause attempt 1 COMPLETED",
        `greet ${runId} COMPLETED`,
        `"Hello Ada"`
      ]),
    parse: (stdout) => stdout.split("\n").map((line) => JSON.parse(line)),
    json: (value, { runId }) => {
      assert.deepStrictEqual(
        value.map((line: Json) => [Object.keys(line), line.step?.name ?? line.run.runId]),
        [
          [["step"], "word"],
          [["step"], "pause"],
          [["run"], runId]
        ]
      )
      return undefined
    },
    wrong: [["a", "--output", "xml"], "--output"]
  }),
  verb("workflow cancel", {
    given: waiting,
    args: runOf,
    table: (stdout, { runId }) => assert.strictEqual(stdout, `Run ${runId} is CANCELLED`),
    json: (value, { runId }) => having(value, { runId, status: "CANCELLED" }),
    wrong: [["a", "--reason", "b"], "Unrecognized flag: --reason"]
  }),
  verb("workflow terminate", {
    given: waiting,
    args: ({ runId }) => [runId, "--reason", "out of stock"],
    table: (stdout, { runId }) => assert.strictEqual(stdout, `Run ${runId} is FAILED`),
    json: (value, { runId }) => having(value, { runId, status: "FAILED" }),
    wrong: [["a"], "Missing required flag: --reason"]
  }),
  verb("workflow retry", {
    given: ended,
    args: runOf,
    table: (stdout, { runId }) =>
      assert.match(stdout, new RegExp(`^Started run [0-9a-f-]{36} with the input of ${runId}$`)),
    json: (value, { runId }) => {
      assert.match(value.newRunId, uuid)
      assert.notStrictEqual(value.newRunId, runId)
      return having(value, { runId })
    },
    wrong: [[], "Missing required argument: run"]
  })
]
