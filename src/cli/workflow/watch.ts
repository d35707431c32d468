/** `kagzi workflow watch`. */
import { Clock, Console, Effect, Stream, Terminal } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { isTerminal, type Run, type Step } from "../../Run.ts"
import * as Handle from "../../WorkflowHandle.ts"
import { failed } from "../failure.ts"
import { Output, run } from "../flags.ts"
import { find, finish, why } from "../runs.ts"
import { printable, table } from "../table.ts"
import * as views from "../views.ts"

/** How often the server is asked, in milliseconds. */
const interval = 250

const barWidth = 30

/** When a step was under way, as a bar between the start of the run and now. */
const bar = (step: Step, from: number, to: number): string => {
  const place = (at: number) => Math.min(barWidth, Math.floor(((at - from) / Math.max(1, to - from)) * barWidth))
  const begin = Math.min(barWidth - 1, place(step.startedAt ?? step.createdAt))
  const end = Math.max(begin + 1, place(step.finishedAt ?? to))
  const mark = step.kind === "SLEEP" ? "·" : step.status === "FAILED" ? "×" : "█"
  return " ".repeat(begin) + mark.repeat(end - begin) + " ".repeat(barWidth - end)
}

/** The run and its steps as they are now. */
const timeline = (run: Run, steps: ReadonlyArray<Step>, now: number): string => {
  const to = run.finishedAt ?? now
  const wakes = run.wakeUpAt === undefined ? "" : `, wakes ${views.time(run.wakeUpAt)}`
  const title = `${run.workflowType} ${run.runId}: ${run.status}${wakes}, ${to - run.createdAt} ms`
  if (steps.length === 0) return printable(title)
  return `${printable(title)}\n${table(
    ["STEP", "ATTEMPT", "STATUS", "TIMELINE", "TOOK"],
    steps.map((step) => [
      step.name,
      `${step.attempt}`,
      step.cancelled ? "CANCELLED" : step.status,
      bar(step, run.createdAt, to),
      step.startedAt === undefined ? "" : `${(step.finishedAt ?? now) - step.startedAt} ms`
    ])
  )}`
}

/** A line for each run or step that is not as it was when last seen. */
const changes = () => {
  const seen = new Map<string, string>()
  return (run: Run, steps: ReadonlyArray<Step>) => {
    const lines: Array<{ readonly json: unknown; readonly text: string }> = []
    const note = (id: string, status: string, json: unknown, text: string) => {
      if (seen.get(id) === status) return
      seen.set(id, status)
      lines.push({ json, text: printable(text) })
    }
    for (const step of steps) {
      const status = step.cancelled ? "CANCELLED" : step.status
      const why = step.error === undefined ? "" : `: ${step.error.message}`
      note(step.stepId, status, { step: views.step(step) }, `${step.name} attempt ${step.attempt} ${status}${why}`)
    }
    note(run.runId, run.status, { run: views.run(run) }, `${run.workflowType} ${run.runId} ${run.status}`)
    return lines
  }
}

export const watch = Command.make(
  "watch",
  { run },
  Effect.fnUntraced(function* (options) {
    const { namespace, protocol } = yield* KagziClient
    const terminal = yield* Terminal.Terminal
    const json = (yield* Output) === "json"
    const drawn = process.stdout.isTTY === true && !json
    const { runId } = yield* find(options.run)
    const changed = changes()
    let height = 0
    for (;;) {
      // The run first: steps that are missing from an ended run would stay so.
      const found = yield* protocol.getRun(namespace, runId)
      const steps = yield* Stream.runCollect(Handle.pages((page) => protocol.listSteps({ namespace, runId }, page)))
      if (drawn) {
        const text = timeline(found, steps, yield* Clock.currentTimeMillis)
        // Back to the first line of what was drawn before, and clear from there.
        yield* terminal.display(`${height === 0 ? "" : `\u001b[${height}A\u001b[0J`}${text}\n`)
        height = text.split("\n").length
      } else {
        for (const line of changed(found, steps)) yield* Console.log(json ? JSON.stringify(line.json) : line.text)
      }
      if (isTerminal(found.status)) {
        if (!json) return yield* finish(runId)
        if (found.status !== "COMPLETED") return yield* failed(why(found))
        return
      }
      yield* Effect.sleep(interval)
    }
  })
).pipe(
  Command.withDescription(
    "Watch a run until it ends: a live timeline of its steps on a terminal, else a line for each change, and then its output; exit code 1 when it failed or was cancelled. JSON: one line for each change, { run } or { step } as get and steps print them"
  ),
  Command.withShortDescription("Watch a run and its steps")
)
