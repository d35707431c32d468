import { describe, it } from "@effect/vitest"
import * as Crashes from "./crashes.ts"
import * as Place from "./Place.ts"

const { seed } = Place

describe("200 runs whose workers and server are killed at random", () => {
  it.live(
    `all end with the right result, and no step runs again that was acknowledged (KAGZI_TEST_SEED=${seed})`,
    () => Crashes.survive({ seed, rounds: 20, cutting: false }),
    150_000
  )
})
