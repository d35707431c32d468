/** The service of schedules over a socket, as peers that know nothing of our client call it. */
import { randomUUID } from "node:crypto"
import { Code, createClient, type Transport } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { ErrorCode } from "../../gen/kagzi/v1/common_pb.ts"
import { WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowService, WorkflowStatus } from "../../gen/kagzi/v1/workflow_pb.ts"
import { ScheduleOverlap, WorkflowScheduleService } from "../../gen/kagzi/v1/workflow_schedule_pb.ts"
import { grpcError, rawGrpc, start, transports } from "./support.ts"

const namespace = "default"
const methods = WorkflowScheduleService.method
const daily = { namespace, taskQueue: "reports", workflowType: "report", cronExpr: "0 6 * * *" }

const json = (value: unknown) => ({ data: new TextEncoder().encode(JSON.stringify(value)), metadata: { type: "json" } })
const text = (payload: { readonly data: Uint8Array } | undefined) => new TextDecoder().decode(payload?.data)
const millis = (time: { readonly seconds: bigint; readonly nanos: number } | undefined) =>
  time === undefined ? undefined : Number(time.seconds) * 1_000 + time.nanos / 1_000_000
const run = <A>(call: () => Promise<A>): Effect.Effect<A> => Effect.promise(call)

const clients = (transport: Transport) => ({
  schedules: createClient(WorkflowScheduleService, transport),
  workflows: createClient(WorkflowService, transport),
  workers: createClient(WorkerService, transport),
  admin: createClient(AdminService, transport)
})

const serve = Effect.map(start(), (baseUrl) => ({ baseUrl, ...clients(createGrpcTransport({ baseUrl })) }))

describe("the service of schedules", () => {
  for (const [index, [name]] of transports("http://127.0.0.1").entries()) {
    it.live(`is served over ${name}`, () =>
      Effect.gen(function* () {
        const [, transport] = transports(yield* start())[index] ?? assert.fail("no such transport")
        const { admin, schedules } = clients(transport)
        assert.include((yield* run(() => admin.getServerInfo({}))).supportedFeatures, "schedules.v1")
        const { schedule } = yield* run(() =>
          schedules.createWorkflowSchedule({
            ...daily,
            input: json({ region: "eu" }),
            timezone: "Europe/Berlin",
            overlap: ScheduleOverlap.SKIP,
            maxCatchup: 3,
            version: "5"
          })
        )
        assert.isDefined(schedule)
        const { scheduleId } = schedule
        assert.deepStrictEqual(
          (yield* run(() => schedules.getWorkflowSchedule({ namespace, scheduleId }))).schedule,
          schedule
        )
        assert.deepInclude(schedule, {
          ...daily,
          version: "5",
          enabled: true,
          maxCatchup: 3,
          totalRuns: 0n,
          successfulRuns: 0n,
          failedRuns: 0n,
          timezone: "Europe/Berlin",
          overlap: ScheduleOverlap.SKIP
        })
        assert.deepStrictEqual([text(schedule.input), schedule.input?.metadata], [`{"region":"eu"}`, { type: "json" }])
        assert.isUndefined(schedule.lastFiredAt)
        const next = millis(schedule.nextFireAt)!
        assert.isAbove(next, millis(schedule.createdAt)!)
        assert.deepStrictEqual(schedule.updatedAt, schedule.createdAt)
        assert.strictEqual(
          new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Berlin", timeStyle: "medium" }).format(next),
          "06:00:00"
        )
      })
    )
  }

  it.live("settles what a peer leaves out that knows neither zones nor policies", () =>
    Effect.gen(function* () {
      const { schedules } = yield* serve
      const { schedule } = yield* run(() => schedules.createWorkflowSchedule(daily))
      assert.deepInclude(schedule, {
        version: "1",
        enabled: true,
        maxCatchup: 50,
        timezone: "UTC",
        overlap: ScheduleOverlap.UNSPECIFIED
      })
      assert.strictEqual(text(schedule?.input), "null")
      assert.strictEqual(millis(schedule?.nextFireAt)! % 86_400_000, 6 * 3_600_000)
      const never = yield* run(() => schedules.createWorkflowSchedule({ ...daily, cronExpr: "0 0 0 31 2 *" }))
      assert.isUndefined(never.schedule?.nextFireAt)
      const unlimited = yield* run(() => schedules.createWorkflowSchedule({ ...daily, maxCatchup: -7 }))
      assert.strictEqual(unlimited.schedule?.maxCatchup, -1)
    })
  )

  it.live("pauses, resumes, updates and deletes, and lists what is paused too", () =>
    Effect.gen(function* () {
      const { schedules } = yield* serve
      const made = yield* run(() => schedules.createWorkflowSchedule(daily))
      const other = yield* run(() => schedules.createWorkflowSchedule({ ...daily, taskQueue: "other", enabled: false }))
      const of = { namespace, scheduleId: made.schedule!.scheduleId }
      const paused = yield* run(() => schedules.pauseWorkflowSchedule(of))
      assert.deepStrictEqual([paused.schedule?.enabled, paused.schedule?.nextFireAt], [false, undefined])

      const listed = yield* run(() => schedules.listWorkflowSchedules({ namespace, page: { includeTotalCount: true } }))
      assert.deepStrictEqual(
        listed.schedules.map(({ scheduleId }) => scheduleId),
        [other.schedule!.scheduleId, of.scheduleId]
      )
      assert.deepInclude(listed.page, { hasMore: false, nextPageToken: "", totalCount: 2n })
      const ofQueue = yield* run(() => schedules.listWorkflowSchedules({ namespace, taskQueue: "other" }))
      assert.strictEqual(ofQueue.schedules.length, 1)
      const first = yield* run(() => schedules.listWorkflowSchedules({ namespace, page: { pageSize: 1 } }))
      assert.isTrue(first.page?.hasMore)
      const second = yield* run(() =>
        schedules.listWorkflowSchedules({ namespace, page: { pageSize: 1, pageToken: first.page!.nextPageToken } })
      )
      assert.deepStrictEqual([second.schedules[0]?.scheduleId, second.page?.hasMore], [of.scheduleId, false])

      const resumed = yield* run(() => schedules.resumeWorkflowSchedule(of))
      assert.isTrue(resumed.schedule?.enabled)
      assert.isDefined(resumed.schedule?.nextFireAt)
      const at = BigInt(Math.floor(Date.now() / 1_000) + 86_400)
      const changes = {
        taskQueue: "moved",
        workflowType: "summary",
        cronExpr: "0 0 7 * * 2",
        enabled: true,
        maxCatchup: 0,
        version: "2",
        timezone: "America/New_York",
        overlap: ScheduleOverlap.CANCEL
      }
      const updated = yield* run(() =>
        schedules.updateWorkflowSchedule({
          ...of,
          ...changes,
          input: json([1]),
          nextFireAt: { seconds: at, nanos: 5_000_000 }
        })
      )
      assert.deepInclude(updated.schedule, changes)
      assert.strictEqual(text(updated.schedule?.input), "[1]")
      assert.deepInclude(updated.schedule?.nextFireAt, { seconds: at, nanos: 5_000_000 })
      const reset = yield* run(() => schedules.updateWorkflowSchedule({ ...of, timezone: "", overlap: 0 }))
      assert.deepInclude(reset.schedule, { ...changes, timezone: "UTC", overlap: ScheduleOverlap.UNSPECIFIED })

      const gone = yield* run(() => schedules.deleteWorkflowSchedule(of))
      assert.isTrue(gone.deleted)
      assert.strictEqual((yield* run(() => schedules.listWorkflowSchedules({ namespace }))).schedules.length, 1)
    })
  )

  it.live("starts runs by the clock and by hand, which workers get, and lists and counts them", () =>
    Effect.gen(function* () {
      const { schedules, workers, workflows } = yield* serve
      const { schedule } = yield* run(() =>
        schedules.createWorkflowSchedule({ ...daily, cronExpr: "* * * * * *", input: json("x"), version: "3" })
      )
      const of = { namespace, scheduleId: schedule!.scheduleId }
      const { workerId } = yield* run(() =>
        workers.register({
          namespace,
          taskQueue: "reports",
          workflowTypes: ["report"],
          hostname: "h",
          pid: 1,
          version: "1"
        })
      )
      const poll = { namespace, workerId, taskQueue: "reports", workflowTypes: ["report"] }
      const task = yield* run(() => workers.pollTask(poll))
      assert.strictEqual(text(task.input), `"x"`)
      yield* run(() => schedules.pauseWorkflowSchedule(of))
      const fired = yield* run(() => workflows.getWorkflow({ namespace, runId: task.runId }))
      assert.deepInclude(fired.workflow, {
        scheduleId: of.scheduleId,
        cronExpr: "* * * * * *",
        version: "3",
        status: WorkflowStatus.RUNNING
      })
      yield* run(() => workers.completeWorkflow({ namespace, runId: task.runId, output: json(1) }))

      const triggered = yield* run(() => schedules.triggerWorkflowSchedule(of))
      const { page, runs } = yield* run(() =>
        schedules.listScheduleRuns({ ...of, page: { includeTotalCount: true, pageSize: 1 } })
      )
      assert.deepStrictEqual(
        runs.map(({ runId }) => runId),
        [triggered.runId]
      )
      assert.isTrue(page?.hasMore)
      const rest = yield* run(() => schedules.listScheduleRuns({ ...of, page: { pageToken: page!.nextPageToken } }))
      assert.strictEqual(rest.runs.at(-1)?.runId, task.runId)
      assert.strictEqual(Number(page?.totalCount), rest.runs.length + 1)
      const { schedule: after } = yield* run(() => schedules.getWorkflowSchedule(of))
      assert.deepStrictEqual([after?.totalRuns, after?.successfulRuns], [page?.totalCount, 1n])
      assert.isAtLeast(millis(after?.lastFiredAt)!, millis(fired.workflow?.createdAt)!)
      const all = yield* run(() => workflows.listWorkflows({ namespace }))
      assert.strictEqual(all.workflows.length, Number(page?.totalCount))
    })
  )

  const of = { namespace, scheduleId: randomUUID() }
  for (const [name, method, request] of [
    ["get", methods.getWorkflowSchedule, of],
    ["update", methods.updateWorkflowSchedule, { ...of, version: "2" }],
    ["delete", methods.deleteWorkflowSchedule, of],
    ["trigger", methods.triggerWorkflowSchedule, of],
    ["pause", methods.pauseWorkflowSchedule, of],
    ["resume", methods.resumeWorkflowSchedule, of],
    ["list the runs of", methods.listScheduleRuns, of]
  ] as const) {
    it.live(`refuses to ${name} what is no schedule, and leaves a run of that id alone`, () =>
      Effect.gen(function* () {
        const { baseUrl, schedules, workflows } = yield* serve
        const { runId } = yield* run(() =>
          workflows.startWorkflow({ namespace, externalId: "e", taskQueue: "q", workflowType: "t" })
        )
        const made = yield* run(() => schedules.createWorkflowSchedule({ ...daily, namespace: "other" }))
        for (const scheduleId of [of.scheduleId, runId, made.schedule!.scheduleId]) {
          const { detail, status } = grpcError(yield* rawGrpc(baseUrl, method, { ...request, scheduleId }))
          assert.strictEqual(status, Code.NotFound)
          assert.deepInclude(detail, {
            code: ErrorCode.NOT_FOUND,
            subject: "schedule",
            subjectId: scheduleId,
            nonRetryable: true
          })
        }
        const malformed = grpcError(yield* rawGrpc(baseUrl, method, { ...request, scheduleId: "nonsense" }))
        assert.deepInclude(malformed, { status: Code.InvalidArgument, message: "schedule_id must be a UUID: nonsense" })
        const nowhere = grpcError(yield* rawGrpc(baseUrl, method, { ...request, namespace: "" }))
        assert.deepInclude(nowhere, { status: Code.InvalidArgument, message: "namespace must not be empty" })
        const { workflow } = yield* run(() => workflows.getWorkflow({ namespace, runId }))
        assert.strictEqual(workflow?.status, WorkflowStatus.PENDING)
        const untouched = yield* run(() =>
          schedules.getWorkflowSchedule({ namespace: "other", scheduleId: made.schedule!.scheduleId })
        )
        assert.deepStrictEqual(untouched.schedule, made.schedule)
      })
    )
  }

  it.live("names the field that makes no sense", () =>
    Effect.gen(function* () {
      const { baseUrl, schedules } = yield* serve
      const { schedule } = yield* run(() => schedules.createWorkflowSchedule(daily))
      const update = { namespace, scheduleId: schedule!.scheduleId }
      const refused = [
        [methods.createWorkflowSchedule, { ...daily, namespace: "" }, "namespace must not be empty"],
        [methods.createWorkflowSchedule, { ...daily, taskQueue: "" }, "task_queue must not be empty"],
        [methods.createWorkflowSchedule, { ...daily, workflowType: "" }, "workflow_type must not be empty"],
        [methods.createWorkflowSchedule, { ...daily, cronExpr: "" }, "cron_expr must not be empty"],
        [
          methods.createWorkflowSchedule,
          { ...daily, cronExpr: "0 0 0 * * 0" },
          "cron_expr: day of week: 0 is not between 1 and 7"
        ],
        [methods.createWorkflowSchedule, { ...daily, timezone: "CEST+2" }, 'timezone: "CEST+2" is no IANA time zone'],
        [methods.createWorkflowSchedule, { ...daily, overlap: 9 }, "overlap is unknown: 9"],
        [methods.updateWorkflowSchedule, { ...update, cronExpr: "" }, 'cron_expr: "" has 0 fields, not 5 or 6'],
        [methods.updateWorkflowSchedule, { ...update, timezone: "X" }, 'timezone: "X" is no IANA time zone'],
        [methods.updateWorkflowSchedule, { ...update, overlap: 9 }, "overlap is unknown: 9"],
        [
          methods.updateWorkflowSchedule,
          { ...update, nextFireAt: { seconds: 1n << 60n } },
          "next_fire_at is not a valid time"
        ],
        [
          methods.listWorkflowSchedules,
          { namespace, page: { pageToken: "abc" } },
          "page_token is not one that this server gave"
        ]
      ] as const
      for (const [method, request, message] of refused) {
        const { detail, status } = grpcError(yield* rawGrpc(baseUrl, method, request))
        assert.deepStrictEqual(
          [status, detail.code, detail.message],
          [Code.InvalidArgument, ErrorCode.INVALID_ARGUMENT, message]
        )
      }
      const large = { ...daily, input: { data: new Uint8Array(2_097_153) } }
      const refusal = grpcError(yield* rawGrpc(baseUrl, methods.createWorkflowSchedule, large))
      assert.include(refusal.message, "input has 2097153 bytes")
    })
  )
})
