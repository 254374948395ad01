// Rotary position embedding as GGUF's llama files want it: pairs are neighbors (2i, 2i + 1) inside a head.

/**
 * Rotates the first `pairs` pairs of each of `heads` heads at x (heads, headDim), in place. `turns`: (pairs, 2)
 * float32, cos and sin of one position.
 */
export function rope(x: usize, heads: i32, headDim: i32, pairs: i32, turns: usize): void {
  for (let h = 0; h < heads; h++) {
    for (let i: usize = 0; i < <usize>pairs; i++) {
      const cos = load<f32>(turns + i * 8)
      const sin = load<f32>(turns + i * 8, 4)
      const a = load<f32>(x + i * 8)
      const b = load<f32>(x + i * 8, 4)
      store<f32>(x + i * 8, a * cos - b * sin)
      store<f32>(x + i * 8, a * sin + b * cos, 4)
    }
    x += <usize>headDim * 4
  }
}
