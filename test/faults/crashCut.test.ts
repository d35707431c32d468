import { describe, it } from "@effect/vitest"
import * as Crashes from "./crashes.ts"
import * as Place from "./Place.ts"

const rounds = 16
const { seed } = Place

describe(`${Crashes.runs(rounds)} runs whose workers and server are killed at random, over connections that are cut every 200 ms`, () => {
  it.live(
    `all end with the right result, and no step runs again that was acknowledged (KAGZI_TEST_SEED=${seed})`,
    () => Crashes.survive({ seed, rounds, cutting: true }),
    150_000
  )
})
