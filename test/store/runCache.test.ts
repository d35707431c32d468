/** What is kept of runs in memory is what is on disk. */
import { assert, describe, it } from "@effect/vitest"
import { RunCache } from "../../src/store/sqlite/RunCache.ts"
import { detail, id, runOf } from "../contract/store/fixtures.ts"

const stored = (n: number, stepCount = 0) => ({ seq: n, run: runOf(n, { stepCount }) })

describe("the cache of runs", () => {
  it("gives what a transaction wrote at once, for good when it is committed, and not when it is rolled back", () => {
    const cache = new RunCache()
    cache.keep(stored(1))
    cache.write(stored(1, 1))
    cache.write(stored(2))
    assert.deepStrictEqual([cache.get(id(1)), cache.get(id(2))], [stored(1, 1), stored(2)])
    cache.rolledBack()
    assert.deepStrictEqual([cache.get(id(1)), cache.get(id(2))], [stored(1), undefined])
    cache.write(stored(1, 2))
    cache.committed()
    cache.rolledBack()
    assert.deepStrictEqual(cache.get(id(1)), stored(1, 2))
  })

  it("forgets runs that were not used for long, and never gives an earlier state of one", () => {
    const cache = new RunCache()
    for (let n = 0; n < 30_000; n++) {
      cache.write(stored(n))
      // one that is used and changed all the time, one that is used, and one that is changed now and then
      cache.write(stored(0, n))
      if (n % 100 === 0 && n > 0) assert.deepStrictEqual(cache.get(id(1)), stored(1))
      if (n % 3_000 === 0) cache.write(stored(2, n))
      cache.committed()
      assert.deepStrictEqual(cache.get(id(0)), stored(0, n))
      assert.deepStrictEqual(cache.get(id(n)), n === 0 ? stored(0, 0) : stored(n))
      if (n > 2) assert.deepStrictEqual(cache.get(id(2)), stored(2, n - (n % 3_000)))
    }
    assert.isUndefined(cache.get(id(20_000)))
  })

  it("keeps no run that has ended, and nothing from before that", () => {
    const cache = new RunCache()
    cache.keep(stored(1))
    cache.write({ seq: 1, run: runOf(1, { status: "FAILED", error: detail }) })
    cache.committed()
    assert.isUndefined(cache.get(id(1)))
  })
})
