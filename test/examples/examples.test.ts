/** The examples, run as their reader would run them. */
import { assert, describe, it } from "@effect/vitest"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import * as Process from "../support/process.ts"

const folder = join(import.meta.dirname, "../../examples")

/** Each example with the line that tells that it showed what it is for. */
const examples: Readonly<Record<string, string>> = {
  "quickstart/main.ts": "ok      the second worker went on where the first was killed",
  "scheduled-workflow.ts": "ok    a run knows the schedule that started it",
  "sleep.ts": "ok    all three slept at the same time, although the worker executes one run at a time",
  "fan-out.ts": "ok    the results are in the order of the items",
  "saga.ts": "ok    what was done is undone, last first",
  "approval.ts": "ok    a refused one fails",
  "polling-loop.ts": "ok    each look was made once, through five replays of the loop",
  "error-classification.ts": "ok    a timeout is tried again, not before it asked for",
  "step-retry.ts": "ok    the pauses grow, up to the maximum",
  "worker-retry.ts": "ok    a step's own field counts more than the worker's",
  "workflow-retry.ts": "ok    the run came to its end with the new code",
  "timeout.ts": "ok    the attempt that took too long failed with Timeout",
  "idempotent-start.ts": "ok    five starts made one run",
  "idempotent-step.ts": "ok    so it took the money once",
  "graceful-shutdown/main.ts": "ok    each worker did one of the steps, once",
  "several-queues.ts": "ok    the letter did not wait for the pallets",
  "worker-configuration.ts": "ok    two CPU-bound workers keep to the limit of their queue, and reach it",
  "tracing/main.ts": "ok    every span of it hangs together with the request"
}

/** What the examples share. */
const helpers = ["support.ts"]

/** A program by itself, or a folder whose program is main.ts. */
const programs = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() || (entry.name.endsWith(".ts") && !helpers.includes(entry.name)))
  .map((entry) => (entry.isDirectory() ? `${entry.name}/main.ts` : entry.name))

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "kagzi-examples-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

describe("the examples", () => {
  it("are all tested", () => {
    assert.deepStrictEqual(programs.toSorted(), Object.keys(examples).toSorted())
  })

  it("are all in the table of their README", () => {
    const listed = [...readFileSync(join(folder, "README.md"), "utf8").matchAll(/^\| \[[^\]]*\]\(([^)]*)\)/gm)]
    assert.deepStrictEqual(
      listed.map(([, path = ""]) => (path.endsWith(".ts") ? path : `${path}/main.ts`)).toSorted(),
      programs.toSorted()
    )
  })
})

describe("the example", () => {
  it.live.each(Object.entries(examples))(
    "%s shows what it promises",
    ([program, line]) =>
      Effect.gen(function* () {
        const place = yield* temporaryFolder
        const child = yield* Process.start(`examples/${program}`, {
          folder: place,
          environment: { NODE_OPTIONS: "--conditions=kagzi-source", TMPDIR: place }
        })
        const code = yield* child.ended
        const said = `${child.lines().join("\n")}\n${child.complaints()}`
        assert.strictEqual(code, 0, said)
        assert.include(child.lines(), line, said)
        // The quick start keeps its database for a look into it.
        assert.deepStrictEqual(
          readdirSync(place),
          program.startsWith("quickstart") ? [".kagzi"] : [],
          "it left something behind"
        )
      }),
    { timeout: 90_000 }
  )
})
