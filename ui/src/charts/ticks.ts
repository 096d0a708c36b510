// Axis steps: bytes in powers of two, so that labels are round IEC numbers.

/** 1, 2, 4 ... of bytes up to exbibytes. */
export const BYTE_STEPS: number[] = Array.from({ length: 60 }, (_, power) => 2 ** power);

/** The smallest step of which at most `most` fit. */
export function byteStep(range: number, most: number): number {
  return BYTE_STEPS.find((step) => range / step <= most) ?? 2 ** 60;
}

/** Upper end of an axis that starts at zero. */
export function axisTop(largest: number, unit: string): number {
  if (!(largest > 0)) return 1;
  const room = largest * 1.08;
  if (unit !== "bytes") return room;
  const step = byteStep(room, 8);
  return Math.ceil(room / step) * step;
}
