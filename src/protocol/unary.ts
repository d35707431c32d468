/**
 * The protocol over RPCs: a session for what is frequent where the server has them, single calls for the rest and for
 * other servers; with our additions where the server has those, by the plain contract elsewhere.
 */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { Effect, Layer, Result, type Scope } from "effect"
import type { StartWorkflowRequestSchema, Workflow } from "../../gen/kagzi/v1/workflow_pb.ts"
import { type KagziError, PreconditionFailed } from "../KagziError.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import { isTerminal, type Run, type Status } from "../Run.ts"
import * as codec from "./codec.ts"
import * as runs from "./codecRun.ts"
import * as enums from "./enums.ts"
import { pageRequest, readPage } from "./pages.ts"
import { type EndedRun, Protocol, type Shape, type StartRequest } from "./Protocol.ts"
import { patiently } from "./retry.ts"
import { Rpc } from "./Rpc.ts"
import * as Services from "./services.ts"
import type { Session, Unusable } from "./session.ts"
import * as SessionLink from "./sessionLink.ts"
import * as SessionRuns from "./sessionRuns.ts"
import * as SessionStream from "./sessionStream.ts"
import * as Admin from "./unaryAdmin.ts"
import * as Link from "./unaryLink.ts"
import * as Schedules from "./unarySchedules.ts"

export interface Options {
  /** Keeps to the plain contract, whatever the server can do. */
  readonly plain?: boolean
  /** Whether to use a session where the server has them; it does unless told otherwise. */
  readonly session?: boolean
}

const readRun = (workflow: Workflow | undefined): Effect.Effect<Run, KagziError> =>
  codec.answered(workflow === undefined ? runs.missing("workflow") : runs.readWorkflow(workflow))

/** Servers may leave the status out where the answer goes without saying. */
const readStatus = (done: boolean, status: number, whenDone: Status): Effect.Effect<Status, KagziError> =>
  Effect.succeed(enums.status.fromProto(status)).pipe(
    Effect.flatMap((known) =>
      known !== undefined
        ? Effect.succeed(known)
        : done
          ? Effect.succeed(whenDone)
          : codec.answered(Result.fail("status is missing or unknown"))
    )
  )

// One long poll of a result, in milliseconds: the server's part, and what is waited for the answer.
const awaitTimeout = 50_000
const awaitCallTimeout = 65_000

const startMessage = (request: StartRequest): MessageInitShape<typeof StartWorkflowRequestSchema> => ({
  namespace: request.namespace,
  externalId: request.externalId,
  taskQueue: request.taskQueue,
  workflowType: request.workflowType,
  version: request.version,
  input: codec.payload(request.input),
  ifExists: enums.ifExists.toProto(request.ifExists),
  ...(request.retryPolicy === undefined ? {} : { retryPolicy: codec.retryPolicy(request.retryPolicy) })
})

/** The protocol over an Rpc, until the scope closes. */
export const make = (options: Options = {}): Effect.Effect<Shape, never, Rpc | Scope.Scope> =>
  Effect.gen(function* () {
    const rpc = yield* Rpc
    const services = yield* Services.make(rpc, { plain: options.plain ?? false })
    const { admin, execution, hasExecution, serverInfo, workflows } = services
    const session =
      rpc.open === undefined || options.plain === true || options.session === false
        ? undefined
        : yield* SessionStream.make({
            open: rpc.open,
            onLost: services.forget,
            onUnusable: services.withoutSession
          })

    /** The session, where the server has them. */
    const offered: Effect.Effect<Session | undefined, KagziError> = Effect.map(services.hasSession, (has) =>
      has ? session : undefined
    )

    /** Uses the session, or the other way where there is none. */
    const either = <A, R1, R2>(
      overSession: (session: Session) => Effect.Effect<A, KagziError | Unusable, R1>,
      otherwise: Effect.Effect<A, KagziError, R2>,
      choose = offered
    ): Effect.Effect<A, KagziError, R1 | R2> => {
      if (session === undefined) return otherwise
      const through = (chosen: Session): Effect.Effect<A, KagziError, R1 | R2> =>
        Effect.catchTag(overSession(chosen), "Unusable", () => otherwise)
      return Effect.suspend(() =>
        session.isOpen()
          ? through(session)
          : Effect.flatMap(choose, (chosen) => (chosen === undefined ? otherwise : through(chosen)))
      )
    }

    const startOnce = Effect.fn("Protocol.start")(function* (request: StartRequest) {
      if (request.ifExists !== "use-active" && !(yield* hasExecution)) {
        return yield* new PreconditionFailed({
          message: `This server does not support ifExists: ${JSON.stringify(request.ifExists)}`
        })
      }
      const reply = yield* workflows.startWorkflow(startMessage(request))
      return { runId: reply.runId, alreadyExists: reply.alreadyExists }
    })

    const start: Shape["start"] = (request) => {
      const started = either(
        (chosen) => SessionRuns.start(chosen, request),
        Effect.suspend(() => startOnce(request)),
        // while the server can't be reached, a single call says so at once
        Effect.map(offered, (chosen) => (chosen?.isReady() === true ? chosen : undefined))
      )
      // On the wire a wrong number may say something else: a negative number of attempts is "unlimited" there.
      return request.retryPolicy === undefined
        ? started
        : Effect.andThen(RetryPolicy.validate(request.retryPolicy), started)
    }

    const getRun: Shape["getRun"] = Effect.fn("Protocol.getRun")(function* (namespace, runId) {
      const reply = yield* workflows.getWorkflow({ namespace, runId })
      return yield* readRun(reply.workflow)
    })

    const getRunByExternalId: Shape["getRunByExternalId"] = Effect.fn("Protocol.getRunByExternalId")(
      function* (namespace, externalId) {
        const reply = yield* workflows.getWorkflowByExternalId({ namespace, externalId })
        return yield* readRun(reply.workflow)
      }
    )

    const listRuns: Shape["listRuns"] = Effect.fn("Protocol.listRuns")(function* (filter, page) {
      const reply = yield* workflows.listWorkflows({
        namespace: filter.namespace,
        page: pageRequest(page),
        ...(filter.status === undefined ? {} : { statusFilter: enums.status.toProto(filter.status) }),
        ...(filter.workflowType === undefined ? {} : { workflowType: filter.workflowType }),
        ...(filter.taskQueue === undefined ? {} : { taskQueue: filter.taskQueue }),
        ...(filter.createdAfter === undefined ? {} : { createdAfter: codec.timestamp(filter.createdAfter) }),
        ...(filter.createdBefore === undefined ? {} : { createdBefore: codec.timestamp(filter.createdBefore) })
      })
      return yield* readPage(reply.workflows, runs.readWorkflow, page, reply.page)
    })

    const awaitResult = Effect.fnUntraced(function* (namespace: string, runId: string) {
      const reply = yield* execution.awaitResult(
        { namespace, runId, timeoutMs: codec.int64(awaitTimeout) },
        { timeoutMillis: awaitCallTimeout }
      )
      return yield* readRun(reply.workflow)
    })

    const pollResult = Effect.fn("Protocol.awaitRun")(function* (namespace: string, runId: string) {
      let pause = 50
      while (true) {
        const { longPoll, run } = yield* patiently(
          Effect.gen(function* () {
            const longPoll = yield* hasExecution
            return { longPoll, run: yield* longPoll ? awaitResult(namespace, runId) : getRun(namespace, runId) }
          })
        )
        if (isTerminal(run.status)) return run
        // A server that gives up a long poll early must not be asked in a tight loop.
        yield* Effect.sleep(longPoll ? 20 : pause)
        pause = Math.min(pause * 2, 1_000)
      }
    })

    const awaitRun: Shape["awaitRun"] = (namespace, runId) =>
      either<EndedRun, never, never>(
        (chosen) => SessionRuns.awaitRun(chosen, namespace, runId),
        Effect.suspend(() => pollResult(namespace, runId)),
        patiently(offered)
      )

    const cancelRun: Shape["cancelRun"] = Effect.fn("Protocol.cancelRun")(function* (namespace, runId) {
      const reply = yield* workflows.cancelWorkflow({ namespace, runId })
      return yield* readStatus(reply.cancelled, reply.status, "CANCELLED")
    })

    const terminateRun: Shape["terminateRun"] = Effect.fn("Protocol.terminateRun")(
      function* (namespace, runId, reason) {
        const reply = yield* workflows.terminateWorkflow({ namespace, runId, reason })
        return yield* readStatus(reply.terminated, reply.status, "FAILED")
      }
    )

    const retryRun: Shape["retryRun"] = Effect.fn("Protocol.retryRun")(function* (namespace, runId) {
      const reply = yield* workflows.retryWorkflow({ namespace, runId })
      return reply.newRunId
    })

    const listSteps: Shape["listSteps"] = Effect.fn("Protocol.listSteps")(function* (filter, page) {
      const reply = yield* admin.listSteps({
        namespace: filter.namespace,
        runId: filter.runId,
        page: pageRequest(page),
        ...(filter.name === undefined ? {} : { stepName: filter.name })
      })
      return yield* readPage(reply.steps, runs.readStep, page, reply.page)
    })

    const health: Shape["health"] = Effect.map(admin.healthCheck({}), (reply) => ({
      serving: enums.servingStatus.fromProto(reply.status) === "SERVING",
      message: reply.message
    }))

    return Protocol.of({
      ...Admin.make(services),
      ...Schedules.make(services),
      start,
      getRun,
      getRunByExternalId,
      listRuns,
      awaitRun,
      cancelRun,
      terminateRun,
      retryRun,
      listSteps,
      serverInfo,
      health,
      connect: (worker) =>
        either((chosen) => SessionLink.connect(chosen, services)(worker), Link.connect(services)(worker))
    })
  })

/** The protocol over an Rpc. */
export const layer: Layer.Layer<Protocol, never, Rpc> = Layer.effect(Protocol, make())

/** The protocol over an Rpc, with options. */
export const layerWith = (options: Options): Layer.Layer<Protocol, never, Rpc> => Layer.effect(Protocol, make(options))
