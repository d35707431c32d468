/** What is kept of rows in memory is what is on disk. */
import { assert, describe, it } from "@effect/vitest"
import { RowCache } from "../../src/store/sqlite/RowCache.ts"

/** A cache, and the keys it read. */
const make = () => {
  const cache = new RowCache<{ readonly key: string }>()
  const read: Array<string> = []
  const get = (key: string) =>
    cache.get(key, (key) => {
      read.push(key)
      return key === "" ? undefined : { key }
    })
  return { cache, get, read }
}

describe("the cache of rows", () => {
  it("reads a row once, and again when it was written or anything was rolled back", () => {
    const { cache, get, read } = make()
    for (const key of ["a", "b", "a", "b"]) assert.deepStrictEqual(get(key), { key })
    assert.deepStrictEqual(read, ["a", "b"])
    cache.forget("a")
    for (const key of ["a", "b", "a"]) get(key)
    assert.deepStrictEqual(read, ["a", "b", "a"])
    cache.rolledBack()
    for (const key of ["a", "b"]) get(key)
    assert.deepStrictEqual(read, ["a", "b", "a", "a", "b"])
  })

  it("looks again for what was not there", () => {
    const { get, read } = make()
    assert.deepStrictEqual([get(""), get("")], [undefined, undefined])
    assert.deepStrictEqual(read, ["", ""])
  })

  it("keeps so many rows and no more", () => {
    const { get, read } = make()
    for (let n = 0; n < 2_000; n++) get(String(n))
    read.length = 0
    get("1999")
    assert.deepStrictEqual(read, [])
    for (let n = 0; n < 2_000; n++) get(String(n))
    assert.isAtLeast(read.length, 2_000 - 1_024)
  })
})
