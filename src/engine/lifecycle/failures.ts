/** The ways in which a command is refused. */
import { Result } from "effect"
import * as KagziError from "../../KagziError.ts"
import { leaseMark, runStatusMark } from "../../marks.ts"
import type { Status } from "../../Run.ts"

/** What deciding on a command gives. */
export type Decision<A> = Result.Result<A, KagziError.KagziError>

export const invalid = (message: string): Result.Result<never, KagziError.KagziError> =>
  Result.fail(KagziError.make("InvalidArgument", message))

export const refused = (
  message: string,
  metadata: Readonly<Record<string, string>> = {}
): Result.Result<never, KagziError.KagziError> =>
  Result.fail(KagziError.make("PreconditionFailed", message, { metadata }))

export const notFound = (
  subject: "workflow" | "schedule" | "step" | "worker" | "namespace",
  subjectId: string
): Result.Result<never, KagziError.KagziError> =>
  Result.fail(KagziError.make("NotFound", `There is no ${subject} ${subjectId}`, { subject, subjectId }))

/** The run is in a state that does not allow it; the metadata has the state. */
export const wrongStatus = (runId: string, status: Status): Result.Result<never, KagziError.KagziError> =>
  refused(`Workflow ${runId} is ${status}`, { [runStatusMark]: status })

/** The worker no longer holds the run. */
export const leaseLost = (runId: string): Result.Result<never, KagziError.KagziError> =>
  refused(`The lease on workflow ${runId} is lost`, { [leaseMark]: "lost" })
