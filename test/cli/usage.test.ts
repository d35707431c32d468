import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./cli.ts"

const oneLine = (text: string) => {
  assert.match(text, /^kagzi: ./)
  assert.notInclude(text, "\n")
}

describe("what makes no sense", () => {
  const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, says: string]> = [
    [["bogus"], `Unknown subcommand "bogus"`],
    [["workflow", "bogus"], `Unknown subcommand "bogus"`],
    [["workflow", "start"], "Missing required argument: type"],
    [["workflow", "get", "a", "b"], "b"],
    [["workflow", "terminate", "a"], "Missing required flag: --reason"],
    [["workflow", "list", "--limit", "0"], `"0". Expected: 1 or more`],
    [["workflow", "list", "--status", "done"], `"done". Expected: one of pending, running`],
    [["workflow", "list", "--output", "xml"], "--output"],
    [["workflow", "start", "a", "--retries", "-1"], "0 or more"],
    [["workflow", "start", "a", "--input", "{"], "The input is not JSON"],
    [["health", "--address", "ftp://a"], "the scheme must be http or https"],
    [["server", "--port", "99999"], "between 0 and 65535"],
    [["server", "--retention-secs", "59"], "60 or more"],
    [["server", "--address", "http://a"], "Unrecognized flag: --address"]
  ]

  it.live.each(wrong)("is one line and exit code 2: %s", ([args, says]) =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run(args)
      oneLine(stderr)
      assert.include(stderr, says)
      assert.strictEqual(stdout, "")
      assert.strictEqual(code, 2)
    })
  )
})

describe("a client command", () => {
  it.live("says in one line that no server answers", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run(["workflow", "list", "--address", "http://127.0.0.1:1"])
      oneLine(stderr)
      assert.include(stderr, "Can't reach the server at http://127.0.0.1:1")
      assert.include(stderr, "kagzi dev")
      assert.strictEqual(stdout, "")
      assert.strictEqual(code, 1)
    })
  )

  it.live("says which variable has a value that makes no sense", () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* run(["health"], { environment: { KAGZI_LOG_LEVEL: "loud" } })
      oneLine(stderr)
      assert.include(stderr, "KAGZI_LOG_LEVEL")
      assert.strictEqual(code, 1)
    })
  )
})

describe("help", () => {
  it.live("is shown on stdout, with the JSON of the command", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run(["workflow", "start", "--help"])
      assert.include(stdout, "{ runId, id, alreadyExists }")
      assert.include(stdout, "KAGZI_SERVER_ADDRESS")
      assert.strictEqual(stderr, "")
      assert.strictEqual(code, 0)
    })
  )

  it.live("is shown without any command", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run([])
      for (const command of ["server", "dev", "workflow", "health", "info"]) assert.include(stdout, command)
      assert.strictEqual(code, 0)
    })
  )

  it.live("knows the version", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run(["--version"])
      assert.match(stdout, /^kagzi v\d+\.\d+\.\d+$/)
      assert.strictEqual(code, 0)
    })
  )
})
