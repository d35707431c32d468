import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { entry } from "../../src/server/Handler.ts"
import { parse } from "../../src/TraceContext.ts"
import { rawGrpc, startWith } from "./support.ts"

const traceId = "0af7651916cd43dd8448eb211c80319c"
const spanId = "b7ad6b7169203331"

describe("trace context", () => {
  it.live("of a call is continued in the handler's span", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const method = AdminService.method.getServerInfo
      const handler = entry(method, () =>
        Effect.map(Effect.currentSpan, (span) => {
          seen.push(span.traceId, span.name)
          return {}
        }).pipe(Effect.orDie)
      )
      const server = yield* startWith([handler])
      yield* rawGrpc(server, method, {}, { traceparent: `00-${traceId}-${spanId}-01` })
      assert.deepStrictEqual(seen, [traceId, "kagzi.v1.AdminService/GetServerInfo"])
    })
  )

  it("that makes no sense is left alone", () => {
    for (const header of [
      null,
      "",
      "nonsense",
      `00-${"0".repeat(32)}-${spanId}-01`,
      `00-${traceId}-${"0".repeat(16)}-01`,
      `00-${traceId.toUpperCase()}-${spanId}-01`
    ]) {
      assert.isUndefined(parse(header))
    }
    assert.deepInclude(parse(`00-${traceId}-${spanId}-00`), { traceId, spanId, sampled: false })
  })
})
