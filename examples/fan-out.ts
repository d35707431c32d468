/**
 * Fan-out and fan-in: one step for many items, several at a time, and their results in the order of the items.
 *
 * Each item's step is recorded by itself: after a crash the items that were done are not done again.
 */
import { Console, Context, Effect, Layer, Ref, Schema } from "effect"
import { Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const Photo = Schema.Struct({ id: Schema.String, pixels: Schema.Int })

const ProcessAlbum = Workflow.make("process-album", {
  taskQueue: "photos",
  input: Schema.Array(Photo),
  output: Schema.Struct({ thumbnails: Schema.Array(Schema.String), pixels: Schema.Int })
})

/** The service that does the work; it remembers how much of it there was at a time. */
class Studio extends Context.Service<
  Studio,
  {
    readonly shrink: (photo: typeof Photo.Type) => Effect.Effect<string>
    readonly busiest: Effect.Effect<number>
  }
>()("photos/Studio") {
  static readonly layer = Layer.effect(
    Studio,
    Effect.gen(function* () {
      const now = yield* Ref.make(0)
      const most = yield* Ref.make(0)
      const enter = Effect.tap(
        Ref.updateAndGet(now, (n) => n + 1),
        (n) => Ref.update(most, (m) => Math.max(m, n))
      )
      const leave = Ref.update(now, (n) => n - 1)
      return {
        shrink: ({ id }) =>
          Effect.acquireUseRelease(
            enter,
            () => Effect.delay(Effect.succeed(`${id}.small`), 100),
            () => leave
          ),
        busiest: Ref.get(most)
      }
    })
  )
}

const ProcessAlbumLive = ProcessAlbum.implement(
  Effect.fn(function* (photos) {
    const thumbnails = yield* Step.forEach("shrink", photos, (photo) => Studio.use((studio) => studio.shrink(photo)), {
      concurrency: 4,
      key: (photo) => photo.id, // tells the items apart whatever their order; their places unless given
      input: (photo) => photo // recorded with each step
    })
    return { thumbnails, pixels: photos.reduce((sum, { pixels }) => sum + pixels, 0) }
  })
)

const program = Effect.gen(function* () {
  yield* Effect.forkScoped(Worker.run({ taskQueue: "photos", workflows: [ProcessAlbumLive] }))

  const photos = Array.from({ length: 12 }, (_, index) => ({ id: `photo-${index}`, pixels: 1000 }))
  const run = yield* ProcessAlbum.start(photos)
  const { pixels, thumbnails } = yield* run.result
  yield* Console.log(`${thumbnails.length} thumbnails: ${thumbnails.slice(0, 3).join(", ")}, …`)

  const busiest = yield* Studio.use((studio) => studio.busiest)
  yield* check(
    "the results are in the order of the items",
    thumbnails.join() === photos.map(({ id }) => `${id}.small`).join()
  )
  yield* check("the album was added up", pixels === 12_000)
  yield* check("each item has a step of its own on record", (yield* run.steps).length === photos.length)
  yield* check(`several were done at a time, and no more than 4 (${busiest})`, busiest > 1 && busiest <= 4)
})

main(Effect.provide(program, Studio.layer))
