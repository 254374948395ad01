// A module without functions.

export const answer = 42
