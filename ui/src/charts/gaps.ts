// Which steps without a value are a gap in what is known. Older samples lie further apart than the steps of an answer, so
// a few empty steps are no gap, and neither is what is as long as the spaces beside it.

const FEW_STEPS = 6;
const LONGER = 3;

/** Pairs of indices, each the last value before a gap and the first one after it. */
export function gaps(values: ArrayLike<number | null | undefined>): [number, number][] {
  const known: number[] = [];
  for (let index = 0; index < values.length; index += 1) {
    if (typeof values[index] === "number") known.push(index);
  }
  const found: [number, number][] = [];
  const space = (index: number) => {
    const from = known[index - 1];
    const to = known[index];
    return from === undefined || to === undefined ? 1 : to - from;
  };
  for (let index = 1; index < known.length; index += 1) {
    const usual = Math.max(space(index - 1), space(index + 1));
    if (space(index) > Math.max(FEW_STEPS, LONGER * usual))
      found.push([known[index - 1] ?? 0, known[index] ?? 0]);
  }
  return found;
}
