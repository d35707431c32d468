/** One half of the courses; the other is tried at the same time. */
import { describe } from "@effect/vitest"
import { keepsWhatIsPromised } from "./courses.ts"

describe("what is promised", () => {
  keepsWhatIsPromised(251, 250)
})
