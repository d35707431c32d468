/**
 * Tasks and commands of a worker by the plain contract alone, for servers without our additions.
 *
 * Such a server tells nothing of what a run has recorded: its steps are asked for one by one, as the body comes to
 * them. It parks a run for one sleep at a time, so the times of further sleeps are known only here, and begin anew when
 * the run goes on elsewhere.
 */
import { Clock, Effect, Option } from "effect"
import type { BeginStepResponse } from "../../gen/kagzi/v1/worker_pb.ts"
import * as KagziError from "../KagziError.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import type { Step } from "../Run.ts"
import * as codec from "./codec.ts"
import * as runs from "./codecRun.ts"
import * as enums from "./enums.ts"
import type { BeginStep, Held, WorkerOptions } from "./Protocol.ts"
import { persistently } from "./retry.ts"
import type { Services } from "./services.ts"
import { type Commands, commandTimeout, persistence, pollTimeout } from "./unaryCommands.ts"

/** What this side knows of a run while it holds it. */
interface Known {
  /** Steps that have ended, counted in the order of the answers. */
  sequence: number
  /** Begun steps by id: what completing or failing one must answer. */
  readonly steps: Map<string, Step>
  /** Sleeps that have not ended: step id and due time, in milliseconds since the epoch. */
  readonly sleeps: Map<string, number>
}

/**
 * A sleep ends only by parking the run. One that is due waits for that, as long as other branches work, and is asked
 * for no more often than this.
 */
const overdueMillis = 1_000

/** The commands of a registered worker. */
export const make = (services: Services, options: WorkerOptions, workerId: string): Effect.Effect<Commands> =>
  Effect.sync(() => {
    const { admin, workers, workflows } = services
    const { namespace } = options
    const persist = persistently(persistence)
    const timely = { timeoutMillis: commandTimeout }
    const held = new Map<string, Known>()

    const knownOf = ({ runId }: Held): Known => {
      const known = held.get(runId) ?? { sequence: 0, steps: new Map(), sleeps: new Map() }
      held.set(runId, known)
      return known
    }

    const forget = ({ runId }: Held) =>
      Effect.sync(() => {
        held.delete(runId)
      })

    const ended = (run: Held, step: Step): Step => {
      const known = knownOf(run)
      known.steps.delete(step.stepId)
      known.sleeps.delete(step.stepId)
      known.sequence++
      return { ...step, sequence: known.sequence }
    }

    const poll: Commands["poll"] = Effect.gen(function* () {
      const response = yield* workers.pollTask(
        { namespace, workerId, taskQueue: options.taskQueue, workflowTypes: [...options.workflowTypes] },
        { timeoutMillis: pollTimeout }
      )
      const { runId } = response
      if (runId === "") return Option.none()
      yield* forget({ runId, lease: 0 })
      const { workflow } = yield* persist(workflows.getWorkflow({ namespace, runId }, timely))
      if (workflow === undefined) return yield* codec.answered(runs.missing("workflow"))
      const run = yield* codec.answered(runs.readWorkflow(workflow))
      return Option.some({
        runId,
        lease: 0,
        run: { ...run, input: codec.readPayload(response.input) },
        history: [],
        claimedAt: yield* Clock.currentTimeMillis
      })
    })

    /** Whether an error is what the server has recorded of a step, which it has no other way to tell. */
    const recordedFailure = (run: Held, name: string, error: KagziError.KagziError) =>
      admin.listSteps({ namespace, runId: run.runId, stepName: name, page: { pageSize: 100 } }, timely).pipe(
        Effect.flatMap((reply) => Effect.forEach(reply.steps, (step) => codec.answered(runs.readStep(step)))),
        Effect.map((attempts) =>
          Option.fromNullishOr(
            attempts.findLast(
              (step) =>
                step.name === name &&
                step.status === "FAILED" &&
                step.error?.code === error._tag &&
                step.error.message === error.message
            )
          )
        ),
        // Whatever keeps the record from being read, the first error says more.
        Effect.orElseSucceed(() => Option.none<Step>())
      )

    const started = (run: Held, step: BeginStep, response: BeginStepResponse, now: number): Step => ({
      namespace,
      runId: run.runId,
      stepId: response.stepId,
      name: step.name,
      kind: step.kind,
      status: "RUNNING",
      attempt: 1,
      input: step.input,
      createdAt: now,
      startedAt: now,
      cancelled: false
    })

    const beginStep: Commands["beginStep"] = Effect.fnUntraced(function* (run, step) {
      if (step.retryPolicy !== undefined) yield* RetryPolicy.validate(step.retryPolicy)
      const request = {
        namespace,
        runId: run.runId,
        stepName: step.name,
        kind: enums.stepKind.toProto(step.kind),
        input: codec.payload(step.input),
        ...(step.retryPolicy === undefined ? {} : { retryPolicy: codec.retryPolicy(step.retryPolicy) })
      }
      const begun = yield* persist(
        workers.beginStep(request, timely).pipe(
          Effect.map((response) => ({ response, failed: undefined })),
          Effect.catch((error) =>
            Effect.flatMap(
              recordedFailure(run, step.name, error),
              Option.match({
                onNone: () => Effect.fail(error),
                onSome: (failed) => Effect.succeed({ response: undefined, failed })
              })
            )
          )
        )
      )
      if (begun.failed !== undefined) return { step: ended(run, begun.failed), execute: false }
      const { response } = begun
      const now = yield* Clock.currentTimeMillis
      const running = started(run, step, response, now)
      if (!response.shouldExecute) {
        const output = codec.readPayload(response.cachedOutput)
        return {
          step: ended(run, { ...running, status: "COMPLETED", output, finishedAt: now }),
          execute: false
        }
      }
      const known = knownOf(run)
      if (step.sleep === undefined) {
        known.steps.set(running.stepId, running)
        return { step: running, execute: true }
      }
      const dueAt =
        known.sleeps.get(running.stepId) ?? ("millis" in step.sleep ? now + step.sleep.millis : step.sleep.until)
      known.sleeps.set(running.stepId, dueAt)
      return { step: { ...running, dueAt }, execute: false, dueIn: dueAt > now ? dueAt - now : overdueMillis }
    })

    const completeStep: Commands["completeStep"] = Effect.fnUntraced(function* (run, stepId, output) {
      const response = yield* persist(
        workers.completeStep({ namespace, runId: run.runId, stepId, output: codec.payload(output) }, timely)
      )
      const known = knownOf(run).steps.get(stepId)
      const step = yield* codec.answered(
        response.step === undefined ? runs.missing("step") : runs.readStep(response.step)
      )
      // The Rust server answers the oldest attempt of the step.
      if (step.status !== "COMPLETED" && known !== undefined) {
        const finishedAt = yield* Clock.currentTimeMillis
        return { step: ended(run, { ...known, status: "COMPLETED", output, finishedAt }) }
      }
      return { step: ended(run, step) }
    })

    const failStep: Commands["failStep"] = Effect.fnUntraced(function* (run, stepId, error) {
      const response = yield* persist(
        workers.failStep({ namespace, runId: run.runId, stepId, error: codec.errorDetail(error) }, timely)
      )
      const known = knownOf(run).steps.get(stepId)
      if (known === undefined) {
        return yield* new KagziError.PreconditionFailed({ message: "The step was not begun here", subject: "step" })
      }
      const now = yield* Clock.currentTimeMillis
      if (!response.scheduledRetry) {
        const failed: Step = { ...known, status: "FAILED", error, finishedAt: now }
        return { step: ended(run, failed), retry: false, released: false }
      }
      yield* forget(run)
      const dueAt =
        response.retryAt === undefined ? now : yield* codec.answered(codec.readDue(response.retryAt, "retry_at"))
      const { startedAt: _, ...next } = known
      return {
        step: { ...next, status: "PENDING", attempt: known.attempt + 1, dueAt },
        dueIn: Math.max(0, dueAt - now),
        retry: true,
        released: true
      }
    })

    const cancelStep: Commands["cancelStep"] = (run, stepId) =>
      Effect.sync(() => {
        held.get(run.runId)?.sleeps.delete(stepId)
      })

    const suspend: Commands["suspend"] = Effect.fnUntraced(function* (run) {
      const now = yield* Clock.currentTimeMillis
      const [earliest] = [...knownOf(run).sleeps].sort(([, a], [, b]) => a - b)
      if (earliest === undefined) {
        return yield* new KagziError.PreconditionFailed({ message: "The run waits for nothing", subject: "workflow" })
      }
      const [stepId, dueAt] = earliest
      const duration = codec.duration(Math.max(1, dueAt - now))
      yield* persist(workers.sleep({ namespace, runId: run.runId, stepId, duration }, timely))
      yield* forget(run)
      return true
    })

    const completeRun: Commands["completeRun"] = (run, output) =>
      persist(workers.completeWorkflow({ namespace, runId: run.runId, output: codec.payload(output) }, timely)).pipe(
        Effect.andThen(forget(run))
      )

    const failRun: Commands["failRun"] = (run, error) =>
      persist(workers.failWorkflow({ namespace, runId: run.runId, error: codec.errorDetail(error) }, timely)).pipe(
        Effect.andThen(forget(run))
      )

    return {
      poll,
      beginAhead: () => undefined,
      beginStep,
      completeStep,
      failStep,
      cancelStep,
      suspend,
      // The plain contract has no such call: the run is free again when its lease ends.
      release: forget,
      completeRun,
      failRun
    }
  })
