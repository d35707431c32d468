/** The table of the specification names what shows each item: that must be there. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

const docs = join(import.meta.dirname, "../../docs")

interface Row {
  readonly item: string
  readonly form: string
  /** Paths from the folder of the page, with the title of a test each may name. */
  readonly shown: ReadonlyArray<{ readonly path: string; readonly title: string | undefined }>
}

const rows: ReadonlyArray<Row> = readFileSync(join(docs, "specification.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.endsWith("| shown by |"))
  .map((line) => {
    const [item = "", form = "", shown = "", ...rest] = line.slice(2, -2).split(" | ")
    assert.deepStrictEqual(rest, [], `three cells: ${line}`)
    const named = [...shown.matchAll(/\[[^\]]+\]\(([^)]+)\)(?: "([^"]+)")?/g)]
    return { item, form, shown: named.map(([, path = "", title]) => ({ path, title })) }
  })

/** Every name that the specification's reference has, and every part that has a heading of its own. */
const names = {
  builders: "id namespace version retry_policy retries enabled max_catchup max_concurrent hostname label".split(" "),
  limits: "queue_concurrency_limit workflow_type_concurrency default_step_retry".split(" "),
  client: "connect workflow workflow_schedule get_workflow_schedule list_workflow_schedules".split(" "),
  more: "delete_workflow_schedule register run worker_id is_registered active_count shutdown shutdown_token".split(" "),
  context: "run_with_input run_with_input_with_retry sleep WorkflowPaused kagzi_workflow".split(" "),
  policy: "maximum_attempts initial_interval backoff_coefficient maximum_interval non_retryable_errors".split(" "),
  error: "code message non_retryable retry_after subject subject_id metadata".split(" "),
  codes: "Internal InvalidArgument NotFound PreconditionFailed Conflict Unauthorized Unavailable".split(" "),
  variables: "KAGZI_SERVER_ADDRESS RUST_LOG POLL_TIMEOUT_SECS".split(" ")
}

const parts = [
  "Type-safe workflows",
  "Durable execution",
  "Retry policies",
  "Concurrency control",
  "Scheduled workflows",
  "Distributed tracing",
  "Graceful shutdown",
  "Rich error handling",
  "Define a workflow",
  "Start a workflow",
  "Run a worker",
  "Workflow with sleep",
  "Using macros",
  "Worker-level defaults",
  "Step-level overrides",
  "Workflow-level retry",
  "Custom spans",
  "Idempotent steps",
  "Small, focused steps",
  "Proper error classification",
  "Timeout management",
  "Worker configuration",
  "Fan-out",
  "Compensation",
  "Conditional execution",
  "Long-running workflows",
  "Unit tests",
  "Integration tests",
  "Workflow not picked up",
  "Steps repeated unexpectedly",
  "Workflow paused unexpectedly",
  "Worker not responding",
  "Concurrency tuning",
  "Step size",
  "Payload size"
]

describe("docs/specification.md", () => {
  it("has every name of the specification's reference", () => {
    const code = rows.flatMap(({ item }) => [...item.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text)).join("\n")
    const missing = Object.values(names)
      .flat()
      .filter((name) => !new RegExp(`(?<![\\w])${name}(?!\\w)`).test(code))
    assert.deepStrictEqual(missing, [])
  })

  it("has every feature, piece of advice and pattern", () => {
    assert.deepStrictEqual(
      parts.filter((part) => !rows.some(({ item }) => item.startsWith(part))),
      []
    )
  })

  it("names for each a test or an example that is there", () => {
    assert.isAbove(rows.length, 100)
    assert.deepStrictEqual(
      rows.filter(({ form, shown }) => form === "" || shown.length === 0).map(({ item }) => item),
      []
    )
    assert.deepStrictEqual(
      rows.flatMap(({ item, shown }) =>
        shown.filter(({ path }) => !existsSync(join(docs, path))).map(({ path }) => `${item}: ${path}`)
      ),
      []
    )
  })

  it("quotes titles that the tests have", () => {
    const has = (path: string, title: string) => {
      const text = readFileSync(join(docs, path), "utf8")
      return ['"', "'", "`"].some((quote) => text.includes(quote + title + quote))
    }
    assert.deepStrictEqual(
      rows.flatMap(({ item, shown }) =>
        shown
          .filter(({ path, title }) => title !== undefined && existsSync(join(docs, path)) && !has(path, title))
          .map(({ path, title }) => `${item}: ${path} "${title}"`)
      ),
      []
    )
  })
})
