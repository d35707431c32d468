/** Our additions: several waits at once, giving runs back, histories, and waiting for a result. */
import { Effect } from "effect"
import { ExecutionService } from "../../../gen/kagzi/v1/execution_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import { requested, safeNumber, timestamp } from "../../protocol/codec.ts"
import { stepRecord, workflow } from "../../protocol/codecRun.ts"
import { ofRun } from "../checks.ts"
import * as Commands from "../commands.ts"
import { leaseOf } from "../commands.ts"
import { entry } from "../Handler.ts"
import * as Pages from "../pages.ts"
import { longestPollMillis } from "../Settings.ts"
import { shuttingDown } from "./draining.ts"

const methods = ExecutionService.method

const suspendRun = entry(
  methods.suspendRun,
  Effect.fnUntraced(function* (request, call) {
    const command = yield* requested(Commands.suspendRun(request, yield* leaseOf(call)))
    const { suspended, wakeUpAt } = yield* (yield* Engine).execute(command)
    return { suspended, wakeUpAt: timestamp(wakeUpAt) }
  })
)

const cancelStep = entry(
  methods.cancelStep,
  Effect.fnUntraced(function* (request, call) {
    const engine = yield* Engine
    const { step } = yield* engine.execute(yield* requested(Commands.cancelStep(request, yield* leaseOf(call))))
    return { record: stepRecord(step, yield* engine.now) }
  })
)

const releaseRun = entry(
  methods.releaseRun,
  Effect.fnUntraced(function* (request, call) {
    yield* (yield* Engine).execute(yield* requested(Commands.releaseRun(request, yield* leaseOf(call))))
    return {}
  })
)

const getHistory = entry(
  methods.getHistory,
  Effect.fnUntraced(function* (request) {
    const { namespace, runId } = yield* ofRun(request)
    const after = yield* Pages.readPosition(request.pageToken)
    const engine = yield* Engine
    const { hasMore, steps } = yield* engine.history(namespace, runId, after)
    const now = yield* engine.now
    return {
      steps: steps.map((step) => stepRecord(step, now)),
      nextPageToken: hasMore ? Pages.positionToken(steps.at(-1)?.position ?? after) : ""
    }
  })
)

const awaitResult = entry(
  methods.awaitResult,
  Effect.fnUntraced(function* (request, call) {
    const { namespace, runId } = yield* ofRun(request)
    const asked = yield* requested(safeNumber(request.timeoutMs, "timeout_ms"))
    const timeoutMillis = Math.min(Math.max(asked, 0), longestPollMillis)
    const run = yield* (yield* Engine)
      .awaitRun(namespace, runId, timeoutMillis)
      .pipe(Effect.raceFirst(shuttingDown(call)))
    return { workflow: workflow(run) }
  })
)

export const executionService = [suspendRun, cancelStep, releaseRun, getHistory, awaitResult]
