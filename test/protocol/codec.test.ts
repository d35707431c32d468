import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { ErrorDetailSchema, PayloadSchema, RetryPolicySchema } from "../../gen/kagzi/v1/common_pb.ts"
import { HeldRunSchema, StepRecordSchema, StepSchema } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowSchema } from "../../gen/kagzi/v1/workflow_pb.ts"
import * as codec from "../../src/protocol/codec.ts"
import * as runs from "../../src/protocol/codecRun.ts"
import { readLease } from "../../src/protocol/extensions.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import { nothing, type Run, type Step } from "../../src/Run.ts"

const Text = Schema.String.check(Schema.makeFilter((text: string) => text.isWellFormed()))
const Labels = Schema.Record(Schema.String.check(Schema.isPattern(/^[a-z]{1,8}$/)), Text)
const Bytes = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))
const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 253_402_300_799_000 }))
const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_147_483_647 }))
const Lease = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

const payloadOf = ({
  bytes,
  metadata
}: {
  bytes: ReadonlyArray<number>
  metadata: Readonly<Record<string, string>>
}) => ({
  data: Uint8Array.from(bytes.length === 0 ? [49] : bytes),
  metadata: { ...metadata }
})

const Payload = Schema.Struct({ bytes: Bytes, metadata: Labels })

const Detail = Schema.Struct({
  code: Schema.Literals([
    "NotFound",
    "InvalidArgument",
    "PreconditionFailed",
    "Conflict",
    "Unauthorized",
    "Unavailable",
    "Internal",
    "Timeout"
  ]),
  message: Text,
  nonRetryable: Schema.Boolean,
  retryAfterMillis: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10 ** 12 }))),
  subject: Text,
  subjectId: Text,
  metadata: Labels
})

const RunFields = Schema.Struct({
  namespace: Text,
  runId: Text,
  externalId: Text,
  taskQueue: Text,
  workflowType: Text,
  version: Text,
  status: Schema.Literals([
    "PENDING",
    "RUNNING",
    "SLEEPING",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "SCHEDULED",
    "PAUSED"
  ]),
  input: Payload,
  output: Schema.optionalKey(Payload),
  error: Schema.optionalKey(Detail),
  attempts: Count,
  priority: Count,
  createdAt: Millis,
  startedAt: Schema.optionalKey(Millis),
  finishedAt: Schema.optionalKey(Millis),
  wakeUpAt: Schema.optionalKey(Millis),
  workerId: Schema.optionalKey(Text),
  parentRunId: Schema.optionalKey(Text),
  parentStepId: Schema.optionalKey(Text),
  scheduleId: Schema.optionalKey(Text),
  cronExpr: Schema.optionalKey(Text)
})

const StepFields = Schema.Struct({
  namespace: Text,
  runId: Text,
  stepId: Text,
  name: Text,
  kind: Schema.Literals(["FUNCTION", "SLEEP", "CHILD_WORKFLOW"]),
  status: Schema.Literals(["PENDING", "RUNNING", "COMPLETED", "FAILED"]),
  attempt: Count,
  input: Payload,
  output: Schema.optionalKey(Payload),
  error: Schema.optionalKey(Detail),
  createdAt: Millis,
  startedAt: Schema.optionalKey(Millis),
  finishedAt: Schema.optionalKey(Millis)
})

const withPayloads = <A extends { readonly input: typeof Payload.Type; readonly output?: typeof Payload.Type }>(
  value: A
) => ({
  ...value,
  input: payloadOf(value.input),
  ...(value.output === undefined ? {} : { output: payloadOf(value.output) })
})

const refused = <A>(read: codec.Read<A>): string =>
  Result.isFailure(read) ? read.failure : assert.fail(`read ${JSON.stringify(read.success)}`)

describe("codec", () => {
  it.prop("carries any payload unchanged", { fields: Payload }, ({ fields }) => {
    const payload = payloadOf(fields)
    const bytes = toBinary(PayloadSchema, codec.payload(payload))
    assert.deepStrictEqual(codec.readPayload(fromBinary(PayloadSchema, bytes)), payload)
  })

  it("reads an absent or an empty payload as null, and never writes an empty one", () => {
    const empty = create(PayloadSchema, { metadata: { a: "b" } })
    assert.strictEqual(new TextDecoder().decode(codec.readPayload(undefined).data), "null")
    assert.strictEqual(new TextDecoder().decode(codec.readPayload(empty).data), "null")
    assert.deepStrictEqual(codec.readPayload(empty).metadata, { a: "b" })
    assert.strictEqual(new TextDecoder().decode(codec.payload({ data: new Uint8Array(), metadata: {} }).data), "null")
  })

  it.prop("carries any error detail unchanged", { detail: Detail }, ({ detail }) => {
    const bytes = toBinary(ErrorDetailSchema, codec.errorDetail(detail))
    assert.deepStrictEqual(codec.readErrorDetail(fromBinary(ErrorDetailSchema, bytes)), detail)
  })

  it("reads an error code that says nothing as Internal", () => {
    assert.strictEqual(codec.readErrorDetail(create(ErrorDetailSchema)).code, "Internal")
    assert.strictEqual(codec.readErrorDetail(create(ErrorDetailSchema, { code: 77 as never })).code, "Internal")
  })

  it.prop("carries any run unchanged", { fields: RunFields }, ({ fields }) => {
    const run: Run = withPayloads(fields)
    const bytes = toBinary(WorkflowSchema, runs.workflow(run))
    assert.deepStrictEqual(runs.readWorkflow(fromBinary(WorkflowSchema, bytes)), Result.succeed(run))
  })

  it.prop("carries any step unchanged", { fields: StepFields }, ({ fields }) => {
    const step: Step = { ...withPayloads(fields), cancelled: false }
    const bytes = toBinary(StepSchema, runs.step(step))
    assert.deepStrictEqual(runs.readStep(fromBinary(StepSchema, bytes)), Result.succeed(step))
  })

  it.prop(
    "carries any record of a step unchanged, with what was left until it is due",
    { fields: StepFields, dueAt: Millis, now: Millis, sequence: Count, cancelled: Schema.Boolean },
    ({ cancelled, dueAt, fields, now, sequence }) => {
      const step: Step = { ...withPayloads(fields), cancelled, dueAt, ...(sequence === 0 ? {} : { sequence }) }
      const bytes = toBinary(StepRecordSchema, runs.stepRecord(step, now))
      assert.deepStrictEqual(
        runs.readStepRecord(fromBinary(StepRecordSchema, bytes), step),
        Result.succeed({ step, dueIn: Math.max(0, dueAt - now) })
      )
    }
  )

  it("says nothing of due times where a step has none", () => {
    const step: Step = {
      namespace: "n",
      runId: "r",
      stepId: "s",
      name: "a",
      kind: "FUNCTION",
      status: "RUNNING",
      attempt: 1,
      input: nothing,
      createdAt: 5,
      cancelled: false
    }
    const reply = Result.getOrThrow(runs.readStepRecord(runs.stepRecord(step, 9), step))
    assert.deepStrictEqual(reply, { step })
  })

  it.prop("carries any lease unchanged", { runId: Text, lease: Lease }, (held) => {
    const message = create(HeldRunSchema, codec.held(held))
    assert.deepStrictEqual(codec.readHeld(message), Result.succeed(held))
    assert.deepStrictEqual(readLease(String(held.lease)), Result.succeed(held.lease))
  })

  it("refuses a lease header that is no whole number", () => {
    for (const text of ["", "x", "1.5", "-1", "9007199254740993"]) refused(readLease(text))
    assert.deepStrictEqual(readLease(null), Result.succeed(undefined))
  })

  it("sends unlimited attempts as -1, and what is inherited as zero", () => {
    const forever = codec.retryPolicy(RetryPolicy.forever)
    assert.strictEqual(forever.maximumAttempts, -1)
    assert.strictEqual(forever.initialIntervalMs, 0n)
    assert.strictEqual(codec.retryPolicy(RetryPolicy.make({})).maximumAttempts, 0)
    assert.deepStrictEqual(codec.readRetryPolicy(forever), Result.succeed(RetryPolicy.forever))
  })

  it("sends a delay of zero as one millisecond, because zero inherits", () => {
    assert.strictEqual(codec.retryPolicy(RetryPolicy.make({ initialInterval: 0 })).initialIntervalMs, 1n)
  })

  it.prop(
    "carries any valid retry policy unchanged",
    {
      policy: Schema.Struct({
        maximumAttempts: Schema.optionalKey(Count),
        initialIntervalMillis: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10 ** 6 }))),
        backoffCoefficient: Schema.optionalKey(Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 100 }))),
        maximumIntervalMillis: Schema.optionalKey(
          Schema.Int.check(Schema.isBetween({ minimum: 10 ** 6, maximum: 10 ** 12 }))
        ),
        nonRetryableErrors: Schema.Array(Text)
      })
    },
    ({ policy }) => {
      const bytes = toBinary(RetryPolicySchema, codec.retryPolicy(policy))
      assert.deepStrictEqual(codec.readRetryPolicy(fromBinary(RetryPolicySchema, bytes)), Result.succeed(policy))
    }
  )

  it("refuses a retry policy that makes no sense, naming the field", () => {
    const read = (init: Parameters<typeof create<typeof RetryPolicySchema>>[1]) =>
      refused(codec.readRetryPolicy(create(RetryPolicySchema, init)))
    assert.include(read({ initialIntervalMs: -1n }), "initialInterval")
    assert.include(read({ maximumIntervalMs: -1n }), "maximumInterval")
    assert.include(read({ backoffCoefficient: 0.5 }), "backoffCoefficient")
    assert.include(read({ backoffCoefficient: Number.NaN }), "backoffCoefficient")
  })

  it.prop("carries any time in milliseconds unchanged", { millis: Millis }, ({ millis }) => {
    const message = fromBinary(TimestampSchema, toBinary(TimestampSchema, codec.timestamp(millis)))
    assert.deepStrictEqual(codec.readTimestamp(message, "at"), Result.succeed(millis))
    assert.deepStrictEqual(codec.readDue(message, "at"), Result.succeed(millis))
  })

  it.prop("carries any duration in milliseconds unchanged", { millis: Millis }, ({ millis }) => {
    for (const value of [millis, -millis]) {
      const message = fromBinary(DurationSchema, toBinary(DurationSchema, codec.duration(value)))
      assert.deepStrictEqual(
        Result.map(codec.readDuration(message, "d"), (read) => read + 0),
        Result.succeed(value + 0)
      )
    }
  })

  it("rounds so that nothing is due early", () => {
    const at = create(TimestampSchema, { seconds: 1n, nanos: 1 })
    assert.deepStrictEqual(codec.readTimestamp(at, "at"), Result.succeed(1_000))
    assert.deepStrictEqual(codec.readDue(at, "at"), Result.succeed(1_001))
    const short = create(DurationSchema, { seconds: 0n, nanos: 1 })
    assert.deepStrictEqual(codec.readDuration(short, "d"), Result.succeed(1))
    assert.strictEqual(codec.duration(0.2).nanos, 1_000_000)
  })

  it("refuses times and durations that are out of range or malformed", () => {
    refused(codec.readTimestamp(create(TimestampSchema, { seconds: 253_402_300_800n }), "at"))
    refused(codec.readTimestamp(create(TimestampSchema, { seconds: 1n, nanos: -1 }), "at"))
    refused(codec.readTimestamp(create(TimestampSchema, { seconds: 1n, nanos: 1_000_000_000 }), "at"))
    refused(codec.readDuration(create(DurationSchema, { seconds: 315_576_000_001n }), "d"))
    refused(codec.readDuration(create(DurationSchema, { seconds: 1n, nanos: -5 }), "d"))
  })

  it("writes any number into its field, however wrong it is", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e300, -1e300, 0.5]) {
      toBinary(TimestampSchema, codec.timestamp(value))
      toBinary(DurationSchema, codec.duration(value))
      toBinary(HeldRunSchema, create(HeldRunSchema, codec.held({ runId: "", lease: value })))
      const policy = { maximumAttempts: value, initialIntervalMillis: value, nonRetryableErrors: [] }
      toBinary(RetryPolicySchema, codec.retryPolicy(policy))
      assert.isTrue(Number.isInteger(codec.int32(value)))
    }
  })

  it.effect("tells the caller what is wrong with a request, and the client what is wrong with an answer", () =>
    Effect.gen(function* () {
      const read = runs.readWorkflow(create(WorkflowSchema))
      const request = yield* Effect.flip(codec.requested(read))
      assert.strictEqual(request._tag, "InvalidArgument")
      assert.include(request.message, "status")
      const answer = yield* Effect.flip(codec.answered(read))
      assert.strictEqual(answer._tag, "Internal")
      assert.isTrue(answer.nonRetryable)
      assert.include(answer.message, "status")
    })
  )

  it("refuses a run, a step or a record with a value of a newer contract", () => {
    const createdAt = codec.timestamp(0)
    refused(runs.readWorkflow(create(WorkflowSchema, { status: 99 as never, createdAt })))
    refused(runs.readWorkflow(create(WorkflowSchema, { status: 1 })))
    refused(runs.readStep(create(StepSchema, { kind: 0, status: 1, createdAt })))
    const of = { namespace: "n", runId: "r" }
    refused(runs.readStepRecord(create(StepRecordSchema, { kind: 1, status: 99 as never, createdAt }), of))
    refused(runs.readStepRecord(create(StepRecordSchema, { kind: 1, status: 1, createdAt, sequence: 2n ** 60n }), of))
  })
})
