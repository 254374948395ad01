// exp, ln, sin, cos and pow in float64, with the same bits in every engine: nothing here but + - * / and exact bit
// operations, because the Math functions of V8, JavaScriptCore and SpiderMonkey differ in the last places. Errors stay
// within one unit in the last place (pow with a huge or tiny result: four; sin and cos of large angles, next to their
// zeros: 1e-27). Arguments are reduced in parts (Cody and Waite), series are Taylor's, and pow carries its logarithm in
// two floats (Dekker).

const TWO_OVER_PI = 0.6366197723675814

// ln 2 and pi/2 in parts whose leading ones have so few bits that a product with the integer beside them is exact.
const LN2_HIGH = 0.6931471805592082 // 40 bits
const LN2_LOW = 7.371002565167799e-13
const HALF_PI_HIGH = 1.570796325802803 // 30 bits
const HALF_PI_MIDDLE = 9.920935791635221e-10 // 30 bits
const HALF_PI_LOW = 5.170182981794105e-19

/** sin and cos are NaN beyond this: there the reduction would no longer be exact. */
const LARGEST_ANGLE = 2 ** 23

const EXP_OVERFLOW = 709.782712893384 // the largest x with a finite exp(x)
const EXP_UNDERFLOW = -745.2 // below this exp(x) rounds to 0

// Taylor coefficients without their leading terms; quotients are correctly rounded, so they are the same everywhere.
const EXP_SERIES = inverseFactorials(2, 1, 13) // r^2/2! + r^3/3! + ... + r^14/14!
const SIN_SERIES = inverseFactorials(3, 2, 8) // z/3! - z^2/5! ..., signs below
const COS_SERIES = inverseFactorials(4, 2, 7)
const ATANH_SERIES = Array.from({ length: 11 }, (_, n) => 2 / (2 * n + 3)) // 2/3, 2/5, ..., 2/23

const bits = new DataView(new ArrayBuffer(8))

/** e to the power x. */
export function exp(x: number): number {
  return expOfSum(x, 0)
}

/** Natural logarithm; -Infinity at 0, NaN below. */
export function ln(x: number): number {
  if (!(x > 0) || x === Infinity) return x === 0 ? -Infinity : x === Infinity ? x : Number.NaN
  const [high, low] = lnInTwo(x)
  return high + low
}

/** x to the power y for x >= 0; NaN for a negative x. */
export function pow(x: number, y: number): number {
  if (y === 0 || x === 1) return 1
  if (!(x >= 0) || Number.isNaN(y)) return Number.NaN
  if (x === 0 || x === Infinity) return (x === 0) === y > 0 ? 0 : Infinity
  const [high, low] = lnInTwo(x)
  const product = high * y
  if (!(product < 800 && product > -800)) return product > 0 ? Infinity : 0
  return expOfSum(product, productError(high, y, product) + low * y)
}

/** Sine of x radians; NaN beyond 2^23 = 8,388,608. */
export function sin(x: number): number {
  return sinOfQuadrant(x, 0)
}

/** Cosine of x radians; NaN beyond 2^23 = 8,388,608. */
export function cos(x: number): number {
  return sinOfQuadrant(x, 1)
}

/** exp(x + tail) for a tail far smaller than x. x = k ln2 + r with |r| <= ln2 / 2, then 2^k (1 + r + r^2/2 + ...). */
function expOfSum(x: number, tail: number): number {
  if (!(x <= EXP_OVERFLOW)) return Number.isNaN(x) ? x : Infinity
  if (x < EXP_UNDERFLOW) return 0
  const k = Math.floor(x * Math.LOG2E + 0.5)
  const r = x - k * LN2_HIGH - (k * LN2_LOW - tail)
  return scale(1 + (r + r * r * polynomial(EXP_SERIES, r)), k)
}

/**
 * ln x as a sum of two floats, good to about 2^-60, for finite x > 0. x = 2^k m with m around 1, then 2 atanh((m - 1) /
 * (m + 1)).
 */
function lnInTwo(x: number): [high: number, low: number] {
  const normal = x < 2 ** -1022 ? x * 2 ** 54 : x
  bits.setFloat64(0, normal)
  const head = bits.getUint32(0)
  let k = (head >>> 20) - 1023 - (normal === x ? 0 : 54)
  bits.setUint32(0, (head & 0xfffff) | 0x3ff00000)
  let m = bits.getFloat64(0)
  if (m > Math.SQRT2) {
    m /= 2
    k++
  }
  const f = m - 1 // exact
  const divisor = 2 + f
  const divisorError = f - (divisor - 2)
  const s = f / divisor
  const product = s * divisor
  const sError = (f - product - productError(s, divisor, product) - s * divisorError) / divisor
  const z = s * s
  const series = s * z * polynomial(ATANH_SERIES, z)
  const exponent = k * LN2_HIGH // exact
  const high = exponent + 2 * s
  const highError = k === 0 ? 0 : 2 * s - (high - exponent)
  const low = highError + (k * LN2_LOW + (2 * sError + series))
  const sum = high + low
  return [sum, low - (sum - high)]
}

/**
 * sin(x + quadrant * pi/2). x = n pi/2 + r with |r| <= pi/4, r in two floats; n says which of +-sin r and +-cos r it
 * is.
 */
function sinOfQuadrant(x: number, quadrant: number): number {
  if (!(x <= LARGEST_ANGLE && x >= -LARGEST_ANGLE)) return Number.NaN
  const n = Math.floor(x * TWO_OVER_PI + 0.5)
  const first = x - n * HALF_PI_HIGH // exact
  const second = n * HALF_PI_MIDDLE // exact
  const difference = first - second
  const back = first - difference
  const rest = back - second + (first - (difference + back)) - n * HALF_PI_LOW
  const r = difference + rest
  const tail = rest - (r - difference)
  const z = r * r
  const turn = (n + quadrant) & 3
  const value = turn & 1 ? cosNearZero(r, tail, z) : sinNearZero(r, tail, z)
  return turn & 2 ? -value : value
}

function sinNearZero(r: number, tail: number, z: number): number {
  return r + (tail * (1 - z / 2) - r * z * polynomial(SIN_SERIES, -z))
}

function cosNearZero(r: number, tail: number, z: number): number {
  const half = z / 2
  const rounded = 1 - half
  return rounded + (1 - rounded - half + (z * z * polynomial(COS_SERIES, -z) - r * tail))
}

/** The rounding error of the float product a * b, exactly (Dekker; a and b below 2^990). */
function productError(a: number, b: number, product: number): number {
  const aSplit = a * 134217729 // 2^27 + 1
  const aHigh = aSplit - (aSplit - a)
  const aLow = a - aHigh
  const bSplit = b * 134217729
  const bHigh = bSplit - (bSplit - b)
  const bLow = b - bHigh
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow)
}

/** x * 2^k with one rounding, for k from -1100 to 1024. */
function scale(x: number, k: number): number {
  if (k > 1023) return x * 2 * powerOfTwo(k - 1)
  if (k < -1022) return x * powerOfTwo(k + 100) * 2 ** -100
  return x * powerOfTwo(k)
}

/** 2^k for -1022 <= k <= 1023. */
function powerOfTwo(k: number): number {
  bits.setUint32(0, (k + 1023) << 20)
  bits.setUint32(4, 0)
  return bits.getFloat64(0)
}

/** c0 + c1 x + c2 x^2 + ... */
function polynomial(coefficients: readonly number[], x: number): number {
  let sum = 0
  for (let i = coefficients.length - 1; i >= 0; i--) sum = sum * x + coefficients[i]!
  return sum
}

/** 1/first!, 1/(first + step)!, ... */
function inverseFactorials(first: number, step: number, count: number): number[] {
  const inverses: number[] = []
  let factorial = 1
  for (let n = 1; inverses.length < count; n++) {
    factorial *= n
    if (n >= first && (n - first) % step === 0) inverses.push(1 / factorial)
  }
  return inverses
}
