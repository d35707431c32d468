import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Codec from "../../src/worker/Codec.ts"
import { payload, text } from "./support.ts"

const cycle: { self?: unknown } = {}
cycle.self = cycle

describe("values without a schema", () => {
  it.effect.each([[{ a: [1, "b", null, true, { c: {} }] }], [""], [0], [null], [undefined]])(
    "come back as they were: %j",
    ([value]) =>
      Effect.gen(function* () {
        const encoded = yield* Codec.json.encode(value)
        assert.deepStrictEqual(yield* Codec.json.decode(encoded), value)
      })
  )

  it.effect("are null on the wire where there is none", () =>
    Effect.gen(function* () {
      assert.strictEqual(text(yield* Codec.json.encode(undefined)), "null")
      assert.strictEqual(yield* Codec.json.decode({ data: new Uint8Array(), metadata: {} }), null)
    })
  )

  it.effect.each([
    [Number.NaN, "NaN is not a JSON value"],
    [{ price: Number.POSITIVE_INFINITY }, 'Infinity is not a JSON value at "price"'],
    [{ order: { total: 1n } }, 'a bigint is not a JSON value at "total"'],
    [[() => 1], 'a function is not a JSON value at "0"'],
    [{ at: new Date(0) }, 'a Date is not a JSON value at "at"'],
    [new Map(), "a Map is not a JSON value"],
    [{ bytes: new Uint8Array(1) }, 'a Uint8Array is not a JSON value at "bytes"'],
    [cycle, "circular structure"]
  ] as const)("are refused where JSON would change them: %o", ([value, reason]) =>
    Effect.gen(function* () {
      assert.include(yield* Effect.flip(Codec.json.encode(value)), reason)
    })
  )

  it.effect("are refused when they are no JSON text", () =>
    Effect.gen(function* () {
      const data = new TextEncoder().encode("{")
      assert.include(yield* Effect.flip(Codec.json.decode({ data, metadata: {} })), "it is not JSON text")
    })
  )
})

describe("values with a schema", () => {
  const schema = Schema.Struct({ at: Schema.Date, lines: Schema.Array(Schema.Struct({ sku: Schema.String })) })
  const codec = Codec.make(schema)

  it.effect("are written as the schema says and come back as they were", () =>
    Effect.gen(function* () {
      const value = { at: new Date(0), lines: [{ sku: "a" }] }
      const encoded = yield* codec.encode(value)
      assert.strictEqual(text(encoded), '{"at":"1970-01-01T00:00:00.000Z","lines":[{"sku":"a"}]}')
      assert.deepStrictEqual(yield* codec.decode(encoded), value)
    })
  )

  it.effect("are refused with the field that does not fit, both ways", () =>
    Effect.gen(function* () {
      const encoding = yield* Effect.flip(codec.encode({ at: new Date(0), lines: [{ sku: 1 }] }))
      assert.include(encoding, '["lines"][0]["sku"]')
      const decoding = yield* Effect.flip(codec.decode(payload({ at: "1970-01-01T00:00:00.000Z", lines: [{}] })))
      assert.include(decoding, '["lines"][0]["sku"]')
    })
  )
})
