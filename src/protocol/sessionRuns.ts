/** Starting runs and waiting for their results over a session. */
import { Effect } from "effect"
import type { KagziError } from "../KagziError.ts"
import * as codec from "./codec.ts"
import * as runs from "./codecRun.ts"
import type { EndedRun, Shape, StartRequest } from "./Protocol.ts"
import { request, type Session, type Unusable, unexpected } from "./session.ts"

/** Starts a run. Like a single call, it is not repeated when its answer is lost. */
export const start = (
  session: Session,
  asked: StartRequest
): Effect.Effect<Effect.Success<ReturnType<Shape["start"]>>, KagziError | Unusable> =>
  Effect.flatMap(request(session, "once", { case: "start", request: asked }), (event) =>
    event.case === "started"
      ? Effect.succeed({ runId: event.value.runId, alreadyExists: event.value.alreadyExists })
      : Effect.fail(unexpected(event))
  )

/** Waits until a run has ended. */
export const awaitRun = (
  session: Session,
  namespace: string,
  runId: string
): Effect.Effect<EndedRun, KagziError | Unusable> =>
  Effect.flatMap(
    request(session, "wait", { case: "await", namespace, runId }),
    (event): Effect.Effect<EndedRun, KagziError> => {
      if (event.case !== "result") return Effect.fail(unexpected(event))
      const { workflow } = event.value
      return codec.answered(workflow === undefined ? runs.missing("workflow") : runs.readWorkflow(workflow))
    }
  )
