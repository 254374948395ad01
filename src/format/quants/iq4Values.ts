// The sixteen values that a nibble of IQ4_NL and IQ4_XS stands for: ggml's kvalues_iq4nl, denser near zero, as weights are.

export const iq4Values = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
