import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Stream } from "effect"
import { createServer } from "node:net"
import { KagziClient } from "../../src/KagziClient.ts"
import * as KagziError from "../../src/KagziError.ts"
import type { PageRequest, RunFilter } from "../../src/protocol/Protocol.ts"
import { client, run } from "./support.ts"

/** A port of this machine where nothing listens. */
const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

describe("a client", () => {
  it.live("says that nothing listens at its address", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const call = KagziClient.use(({ workflows }) => workflows.get("0192f0c4-0000-7000-8000-000000000000"))
      const error = yield* Effect.flip(
        Effect.provide(call, KagziClient.layer({ address: `http://127.0.0.1:${port}` }), { local: true })
      )
      assert.isTrue(error instanceof KagziError.Unavailable)
      assert.include(error.message, String(port))
    })
  )

  it.live("refuses what is no address", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(KagziClient, KagziClient.layer({ address: "not an address" })))
      assert.isTrue(error instanceof KagziError.InvalidArgument)
      assert.include(error.message, "not an address")
    })
  )

  it.live("takes its settings from the environment", () =>
    Effect.gen(function* () {
      const provider = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromUnknown(env))
      const namespaceIn = (env: Record<string, string>) =>
        KagziClient.useSync(({ namespace }) => namespace).pipe(
          Effect.provide(Layer.provide(Layer.fresh(KagziClient.layerConfig), provider(env)))
        )
      assert.strictEqual(yield* namespaceIn({}), "default")
      assert.strictEqual(yield* namespaceIn({ KAGZI_NAMESPACE: "production", KAGZI_API_KEY: "key" }), "production")
      const error = yield* Effect.flip(namespaceIn({ KAGZI_SERVER_ADDRESS: "ftp://elsewhere" }))
      assert.include(error.message, "ftp://elsewhere")
    })
  )

  it.effect("lists runs page by page, as they are wanted", () =>
    Effect.gen(function* () {
      const asked: Array<readonly [RunFilter, PageRequest]> = []
      const server = client({
        listRuns: (filter, page) =>
          Effect.sync(() => {
            asked.push([filter, page])
            const first = page.token === undefined ? 0 : Number(page.token)
            return { items: [first, first + 1].map((n) => run({ runId: String(n) })), next: String(first + 2) }
          })
      })
      const runs = KagziClient.use(({ workflows }) =>
        workflows.list({ status: "FAILED", createdAfter: new Date(5) }).pipe(
          Stream.take(3),
          Stream.map(({ runId }) => runId),
          Stream.runCollect
        )
      )
      assert.deepStrictEqual(yield* Effect.provide(runs, server), ["0", "1", "2"])
      assert.deepStrictEqual(asked, [
        [{ namespace: "default", status: "FAILED", createdAfter: 5 }, { size: 100 }],
        [
          { namespace: "default", status: "FAILED", createdAfter: 5 },
          { size: 100, token: "2" }
        ]
      ])
    })
  )
})
