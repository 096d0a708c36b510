// Axis steps: bytes in powers of two, so that labels are round IEC numbers.

/** 1, 2, 4 ... of bytes up to exbibytes. */
export const BYTE_STEPS: number[] = Array.from({ length: 60 }, (_, power) => 2 ** power);

/** Seconds of an age, so that no two labels are equal. */
export const AGE_STEPS = [
  1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800,
];

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
