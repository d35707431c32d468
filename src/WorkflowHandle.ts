/** A run as the program that started it sees it: with the types of its workflow. `Workflow` gives handles out. */
import { Effect, Option, Schema, Stream } from "effect"
import * as KagziError from "./KagziError.ts"
import { terminatedMark } from "./marks.ts"
import type { EndedRun, Page, PageRequest, Shape as ProtocolShape } from "./protocol/Protocol.ts"
import * as Run from "./Run.ts"
import type * as Codec from "./worker/Codec.ts"
import * as TypedFailure from "./worker/TypedFailure.ts"

/** The run failed with an error that its workflow does not declare: `error` has it. */
export class WorkflowFailed extends Schema.TaggedError<WorkflowFailed>("kagzi/WorkflowFailed")("WorkflowFailed", {
  runId: Schema.String,
  error: KagziError.schema
}) {
  override get message(): string {
    return `Workflow ${this.runId} failed: ${this.error.message}`
  }
}

/** The run was cancelled. */
export class WorkflowCancelled extends Schema.TaggedError<WorkflowCancelled>("kagzi/WorkflowCancelled")(
  "WorkflowCancelled",
  { runId: Schema.String }
) {
  override get message(): string {
    return `Workflow ${this.runId} was cancelled`
  }
}

/** The run was terminated, for that reason. */
export class WorkflowTerminated extends Schema.TaggedError<WorkflowTerminated>("kagzi/WorkflowTerminated")(
  "WorkflowTerminated",
  { runId: Schema.String, reason: Schema.String }
) {
  override get message(): string {
    return `Workflow ${this.runId} was terminated: ${this.reason}`
  }
}

/** How a run can end without a result, beside the errors that its workflow declares. */
export type ResultError = WorkflowFailed | WorkflowCancelled | WorkflowTerminated | KagziError.KagziError

/**
 * A run of a workflow. Whatever is asked of a run that the server does not know fails with `NotFound`; `result`,
 * `status` and `describe` fail with `InvalidArgument` when it is of another workflow.
 */
export interface Handle<out Output, out Error> {
  readonly runId: string
  /** Whether the run was there before; a start then had no effect. */
  readonly alreadyExists: boolean
  /** Waits for the end of the run, however long that takes and through lost connections: its output, or its failure. */
  readonly result: Effect.Effect<Output, Error | ResultError>
  readonly status: Effect.Effect<Run.Status, KagziError.KagziError>
  /** All there is to know of the run, its input and output as JSON. */
  readonly describe: Effect.Effect<Run.Description, KagziError.KagziError>
  /** Every attempt of every step so far, in the order they were begun. */
  readonly steps: Effect.Effect<ReadonlyArray<Run.StepDescription>, KagziError.KagziError>
  /** Cancels the run and gives its status after that. `PreconditionFailed` when it has ended. */
  readonly cancel: Effect.Effect<Run.Status, KagziError.KagziError>
  /** Ends the run as failed, at once and without compensation. `PreconditionFailed` when it has ended. */
  readonly terminate: (reason: string) => Effect.Effect<Run.Status, KagziError.KagziError>
  /** Starts a new run with the input of this one. `PreconditionFailed` unless this one has ended. */
  readonly retry: Effect.Effect<Handle<Output, Error>, KagziError.KagziError>
}

/** What a handle knows of the run's workflow. A name only when the run must be of that workflow. */
export interface Definition<Output> {
  readonly name?: string
  readonly output: Codec.Codec<Output>
  readonly error: Codec.AnySchema | undefined
}

/** The handle of a run. `Error` is what the schema of the definition decodes to. */
export const make = <Output, Error>(
  protocol: ProtocolShape,
  definition: Definition<Output>,
  run: { readonly namespace: string; readonly runId: string; readonly alreadyExists: boolean }
): Handle<Output, Error> => {
  const { alreadyExists, namespace, runId } = run
  const get = () => Effect.tap(protocol.getRun(namespace, runId), (found) => checkType(definition, found))
  // made when they are asked for: most handles are asked for their result alone
  return {
    runId,
    alreadyExists,
    get result() {
      return Effect.flatMap(protocol.awaitRun(namespace, runId), (ended) => resultOf<Output, Error>(definition, ended))
    },
    get status() {
      return Effect.map(get(), ({ status }) => status)
    },
    get describe() {
      return Effect.map(get(), Run.describe)
    },
    get steps() {
      return Stream.runCollect(steps(protocol, namespace, runId))
    },
    get cancel() {
      return protocol.cancelRun(namespace, runId)
    },
    terminate: (reason) => protocol.terminateRun(namespace, runId, reason),
    get retry() {
      return Effect.map(protocol.retryRun(namespace, runId), (newRunId) =>
        make<Output, Error>(protocol, definition, { namespace, runId: newRunId, alreadyExists: false })
      )
    }
  }
}

/** Refuses a run of another workflow, whose values would be read wrongly. */
export const checkType = (
  { name }: Definition<unknown>,
  run: Pick<Run.Run, "runId" | "workflowType">
): Effect.Effect<void, KagziError.InvalidArgument> =>
  name === undefined || name === run.workflowType
    ? Effect.void
    : Effect.fail(
        new KagziError.InvalidArgument({
          message: `Run ${run.runId} is of workflow "${run.workflowType}", not of "${name}"`,
          subject: "workflow",
          subjectId: run.runId
        })
      )

/** What a run that has ended gives its caller. */
const resultOf = Effect.fnUntraced(function* <Output, Error>(
  definition: Definition<Output>,
  run: EndedRun
): Effect.fn.Return<Output, Error | ResultError> {
  const { runId } = run
  yield* checkType(definition, run)
  if (run.status === "CANCELLED") return yield* new WorkflowCancelled({ runId })
  if (run.status === "COMPLETED") {
    return yield* Effect.mapError(definition.output.decode(run.output ?? Run.nothing), (reason) =>
      KagziError.nonRetryable(
        `The result of run ${runId} does not fit the \`output\` schema of workflow "${run.workflowType}": ${reason}`
      )
    )
  }
  const detail =
    run.error ?? KagziError.toDetail(new KagziError.Internal({ message: "The run failed and did not say why" }))
  if (detail.metadata[terminatedMark] !== undefined) {
    return yield* new WorkflowTerminated({ runId, reason: detail.message })
  }
  if (definition.error === undefined) return yield* new WorkflowFailed({ runId, error: KagziError.fromDetail(detail) })
  const failure = yield* TypedFailure.decode(detail, { schema: definition.error, subject: `run ${runId}` })
  switch (failure._tag) {
    case "Declared":
      // The schema that decoded it is the one that gave `Error`.
      return yield* Effect.fail(failure.error as Error)
    case "Misfit":
      return yield* failure.error
    default:
      return yield* new WorkflowFailed({ runId, error: failure.error })
  }
})

/** Every attempt of every step of a run, in the order they were begun. */
export const steps = (
  protocol: ProtocolShape,
  namespace: string,
  runId: string
): Stream.Stream<Run.StepDescription, KagziError.KagziError> =>
  pages((page) => protocol.listSteps({ namespace, runId }, page)).pipe(Stream.map(Run.describeStep))

const pageSize = 100

/** All items of a listing, page by page as they are wanted. */
export const pages = <A>(
  list: (page: PageRequest) => Effect.Effect<Page<A>, KagziError.KagziError>
): Stream.Stream<A, KagziError.KagziError> =>
  Stream.paginate(undefined as string | undefined, (token) =>
    Effect.map(
      list({ size: pageSize, ...(token === undefined ? {} : { token }) }),
      ({ items, next }) => [items, next === undefined ? Option.none() : Option.some(next)] as const
    )
  )
