/** `kagzi workflow steps`. */
import { Effect, Stream } from "effect"
import { Command } from "effect/cli"
import type { Step } from "../../Run.ts"
import * as Handle from "../../WorkflowHandle.ts"
import { run } from "../flags.ts"
import { print } from "../output.ts"
import { find } from "../runs.ts"
import { table } from "../table.ts"
import { KagziClient } from "../../KagziClient.ts"
import * as views from "../views.ts"

const took = ({ finishedAt, startedAt }: Step) =>
  startedAt === undefined || finishedAt === undefined ? "" : `${finishedAt - startedAt} ms`

const text = (steps: ReadonlyArray<Step>) =>
  steps.length === 0
    ? "No steps"
    : table(
        ["STEP", "KIND", "ATTEMPT", "STATUS", "CREATED", "TOOK", "ERROR"],
        steps.map((step) => [
          step.name,
          step.kind,
          `${step.attempt}`,
          step.status,
          views.time(step.createdAt) ?? "",
          took(step),
          step.error?.message ?? ""
        ])
      )

export const steps = Command.make(
  "steps",
  { run },
  Effect.fnUntraced(function* (options) {
    const { namespace, protocol } = yield* KagziClient
    const { runId } = yield* find(options.run)
    const found = yield* Stream.runCollect(Handle.pages((page) => protocol.listSteps({ namespace, runId }, page)))
    yield* print({ json: () => found.map(views.step), text: () => text(found) })
  })
).pipe(
  Command.withDescription(
    "List every attempt of every step of a run, in the order they began. JSON: an array of { stepId, name, kind, status, attempt, input, output, error, createdAt, startedAt, finishedAt, dueAt, cancelled, childRunId }, without what has no value"
  ),
  Command.withShortDescription("List the steps of a run")
)
