// The commands of worker.js, for the worker and the tests. 0 is LEAVE.

export const commands = {
  stages: 1,
  forever: 2,
  hang: 3,
  throwError: 4,
  throwMixtralError: 5,
  exit: 6,
  throwBesideWork: 7,
  listen: 8,
}
