// Routing: the `used` largest of a token's router logits, best first (ties: the lower expert), and a softmax over
// these.
import { exp1 } from '../lanes/exp'

/** logits (experts) float32 -> ids (used) i32, weights (used) float32. Not-a-number loses against everything. */
export function route(logits: usize, experts: i32, used: i32, ids: usize, weights: usize): void {
  for (let k: usize = 0; k < <usize>used; k++) {
    let best = -1
    let top: f32 = -Infinity
    for (let e = 0; e < experts; e++) {
      let taken = false
      for (let j: usize = 0; j < k; j++) if (load<i32>(ids + j * 4) == e) taken = true
      const logit = load<f32>(logits + <usize>e * 4)
      if (!taken && (best < 0 || logit > top || (isNaN(top) && !isNaN(logit)))) {
        best = e
        top = logit
      }
    }
    store<i32>(ids + k * 4, best)
    store<f32>(weights + k * 4, top)
  }
  const first = load<f32>(weights)
  let sum: f32 = 0
  for (let k: usize = 0; k < <usize>used; k++) {
    const p = exp1(load<f32>(weights + k * 4) - first)
    store<f32>(weights + k * 4, p)
    sum += p
  }
  for (let k: usize = 0; k < <usize>used; k++) store<f32>(weights + k * 4, load<f32>(weights + k * 4) / sum)
}
