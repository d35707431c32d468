/** Fibers on their own, until they end. What FiberSet does, with a `Registry` for those that run. */
import { Effect, Fiber, type Scope } from "effect"
import { Registry } from "../Registry.ts"

export interface Fibers {
  /** Starts a fiber at once. */
  readonly run: (effect: Effect.Effect<unknown, unknown>) => Effect.Effect<void>
  /** Waits until none runs. */
  readonly awaitEmpty: Effect.Effect<void>
}

/** Interrupts those that still run when the scope closes. */
export const make: Effect.Effect<Fibers, never, Scope.Scope> = Effect.gen(function* () {
  const running = new Registry<number, Fiber.Fiber<unknown, unknown>>()
  yield* Effect.addFinalizer(() => Effect.suspend(() => Fiber.interruptAll(running.values())))
  return {
    // It registers itself before it does anything: whoever starts it may have to yield right after.
    run: (effect) =>
      Effect.asVoid(
        Effect.forkDetach(
          Effect.withFiber<unknown, unknown>((fiber) => {
            running.set(fiber.id, fiber)
            fiber.addObserver(() => void running.delete(fiber.id))
            return effect
          }),
          { startImmediately: true }
        )
      ),
    awaitEmpty: Effect.whileLoop({
      while: () => running.size > 0,
      body: () => Fiber.awaitAll(running.values()),
      step: () => {}
    })
  }
})
