// What an asynchronous loop yields, as a list; Node 20 has no Array.fromAsync.

export async function collected<T>(each: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const one of each) all.push(one)
  return all
}
