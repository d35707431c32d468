/** What every implementation of the store must do. */
import { describe } from "@effect/vitest"
import type { Layer } from "effect"
import type { Store, StoreError } from "../../src/store/Store.ts"
import { caseOf } from "./store/case.ts"
import { admin } from "./store/admin.ts"
import { reads } from "./store/reads.ts"
import { removal } from "./store/removal.ts"
import { rollbacks } from "./store/rollbacks.ts"
import { schedules } from "./store/schedules.ts"
import { transactions } from "./store/transactions.ts"
import { wants } from "./store/wants.ts"

/** Declares the suite. The layer must give an empty database each time it is built. */
export const storeContract = (name: string, layer: Layer.Layer<Store, StoreError>) => {
  const test = caseOf(layer)
  describe(`store contract: ${name}`, () => {
    transactions(test)
    rollbacks(test)
    wants(test)
    reads(test)
    admin(test)
    schedules(test)
    removal(test)
  })
}
