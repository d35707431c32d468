import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Process from "./process.ts"

describe("a process that may start PostgreSQL", () => {
  it.live("ends with the code that it was to end with, so that failed tests are told of", () =>
    Effect.gen(function* () {
      const child = yield* Process.start("test/support/endsWith3.ts")
      assert.strictEqual(yield* child.ended, 3)
    }).pipe(Effect.scoped)
  )
})
