import { create, fromBinary } from "@bufbuild/protobuf"
import { BinaryReader } from "@bufbuild/protobuf/wire"
import { assert, describe, it } from "@effect/vitest"
import { type SessionEvent, SessionEventSchema } from "../../gen/kagzi/v1/session_pb.ts"
import * as codec from "../../src/protocol/codec.ts"
import { stepRecord, workflow } from "../../src/protocol/codecRun.ts"
import * as KagziError from "../../src/KagziError.ts"
import type { Task } from "../../src/engine/Engine.ts"
import type { Payload, Run } from "../../src/Run.ts"
import { makeEncoder } from "../../src/server/session/encode.ts"
import * as Pages from "../../src/server/pages.ts"
import type { StepRecord } from "../../src/store/Store.ts"

const id = "018f3a1e-0000-7000-8000-000000000001"
const at = 1_795_000_000_123

/** What a peer reads, that knows nothing of how it was written. */
const read = (bytes: Uint8Array): SessionEvent => fromBinary(SessionEventSchema, new BinaryReader(bytes).bytes())

const payloads: ReadonlyArray<Payload> = [
  { data: new TextEncoder().encode('"ü 😀"'), metadata: { encoding: "json/plain", ключ: "", "": "x" } },
  { data: new Uint8Array(0), metadata: {} },
  { data: new Uint8Array(300_000).fill(7), metadata: { encoding: "x".repeat(300) } }
]

const bare: Omit<Run, "input"> = {
  namespace: "default",
  runId: id,
  externalId: "bestellung-ü",
  taskQueue: "q",
  workflowType: "t",
  version: "1",
  status: "PENDING",
  attempts: 0,
  priority: 0,
  createdAt: at
}

const error = KagziError.toDetail(KagziError.make("Conflict", "nö", { metadata: { a: "b" } }))

const runs: ReadonlyArray<Omit<Run, "input">> = [
  bare,
  { ...bare, status: "RUNNING", attempts: 1, startedAt: at + 1, workerId: id, priority: -7 },
  {
    ...bare,
    ...{ status: "FAILED", attempts: 3, priority: 5, error, startedAt: at, finishedAt: at + 1000, wakeUpAt: at },
    ...{ parentRunId: "", parentStepId: id, scheduleId: id, cronExpr: "* * * * *" }
  },
  ...payloads.map((output) => ({ ...bare, status: "COMPLETED" as const, output, finishedAt: 1_795_000_000_000 }))
]

const step: StepRecord = {
  namespace: "default",
  runId: id,
  stepId: id,
  name: "s",
  kind: "FUNCTION",
  status: "COMPLETED",
  attempt: 2,
  input: payloads[0]!,
  output: payloads[1]!,
  sequence: 9,
  createdAt: at,
  startedAt: at,
  finishedAt: at + 7,
  cancelled: false,
  position: 3,
  retryPolicy: {
    maximumAttempts: 1,
    initialIntervalMillis: 1,
    backoffCoefficient: 1,
    maximumIntervalMillis: 1,
    nonRetryableErrors: []
  }
}

const encode = makeEncoder()

const event = (id: number, of: Parameters<typeof encode.any>[1]) => create(SessionEventSchema, { id, event: of })

describe("the bytes of events", () => {
  it("are those of answers that say nothing", () => {
    const done = { case: "done", value: { $typeName: "kagzi.v1.DoneEvent" } } as const
    assert.deepStrictEqual(read(encode.done(4_000_000_000)), event(4_000_000_000, done))
  })

  it("are those of completed steps, without what their workers know", () => {
    for (const cancelled of [false, true]) {
      const found = read(encode.completed(1, { ...step, cancelled })).event
      assert.isTrue(found.case === "step")
      if (found.case !== "step") return
      const { attemptNumber, finishedAt, kind, sequence, status, ...rest } = stepRecord({ ...step, cancelled }, at)
      assert.deepInclude(found.value.record, { attemptNumber, finishedAt, kind, sequence, status, cancelled })
      assert.isDefined(rest.input)
      assert.isUndefined(found.value.record?.input)
      assert.isUndefined(found.value.record?.output)
    }
  })

  it("are those of starts", () => {
    for (const alreadyExists of [false, true]) {
      const found = read(encode.started(7, { runId: id, alreadyExists }))
      assert.strictEqual(found.id, 7)
      assert.deepInclude(found.event.value, { runId: id, alreadyExists })
    }
  })

  for (const [index, run] of runs.entries()) {
    it(`are those of results, here of run ${index}`, () => {
      const { event: found } = read(encode.result(3, run))
      assert.isTrue(found.case === "result")
      if (found.case === "result") assert.deepStrictEqual(found.value.workflow, workflow(run))
    })

    it(`are those of tasks, here of run ${index}`, () => {
      for (const [place, input] of payloads.entries()) {
        const task: Task = {
          run: { ...run, input },
          lease: 2 ** 40 + place,
          claimedAt: at,
          history: place === 0 ? [step, { ...step, status: "FAILED", error }] : [],
          historyMore: place !== 1
        }
        const { event: found, id: of } = read(encode.task(id, task))
        assert.strictEqual(of, 0)
        assert.isTrue(found.case === "task")
        if (found.case !== "task") return
        const { output: _, ...claimed } = run
        assert.strictEqual(found.value.workerId, id)
        const { $typeName: __, ...told } = found.value.task!
        assert.deepStrictEqual(told, {
          runId: run.runId,
          workflowType: run.workflowType,
          input: codec.payload(input),
          leaseEpoch: BigInt(task.lease),
          workflow: workflow(claimed),
          history: task.history.map((step) => stepRecord(step, at)),
          historyPageToken: place === 1 ? "" : Pages.positionToken(place === 0 ? 3 : 0),
          claimedAt: codec.timestamp(at)
        })
      }
    })
  }
})
