/** How the cases of a store are declared. */
import { it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { Store, StoreError } from "../../../src/store/Store.ts"

/** Declares one case, with an empty store of its own. */
export type Case = (name: string, body: Effect.Effect<void, unknown, Store>) => void

export const caseOf =
  (layer: Layer.Layer<Store, StoreError>): Case =>
  (name, body) => {
    it.live(name, () => body.pipe(Effect.provide(Layer.fresh(layer), { local: true })))
  }
