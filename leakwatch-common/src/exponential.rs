//! Exponentially distributed distances between samples, in integers: the kernel side has no floating point.

/// Fraction bits of what [`draw`] returns.
pub const FRACTION_BITS: u32 = 20;

/// `ln(1 + i / 64)` for `i` from 0 to 64, with [`FRACTION_BITS`] of fraction.
const LOGARITHM: [u32; 65] = [
    0, 16_257, 32_266, 48_035, 63_570, 78_877, 93_965, 108_839, 123_504, 137_968, 152_234, 166_309, 180_198, 193_905,
    207_435, 220_793, 233_983, 247_009, 259_875, 272_585, 285_143, 297_552, 309_817, 321_939, 333_923, 345_771,
    357_487, 369_074, 380_534, 391_870, 403_085, 414_181, 425_161, 436_027, 446_782, 457_427, 467_966, 478_400,
    488_731, 498_961, 509_092, 519_126, 529_065, 538_911, 548_665, 558_330, 567_906, 577_395, 586_800, 596_120,
    605_359, 614_517, 623_596, 632_596, 641_520, 650_369, 659_144, 667_846, 676_476, 685_036, 693_527, 701_949,
    710_304, 718_593, 726_817,
];

/// `ln(2)`, likewise.
const LN_2: u64 = 726_817;

/// A number of the exponential distribution of mean one, with [`FRACTION_BITS`] of fraction, made of a uniform one: `-ln((random + 1) / 2^32)`.
/// Off by less than 0.00004.
#[inline]
pub const fn draw(random: u32) -> u64 {
    let uniform = random as u64 + 1;
    // No instruction for it on the bpf target.
    let mut exponent = 0;
    let mut rest = uniform;
    let mut step = 32;
    while step > 0 {
        if rest >> step > 0 {
            rest >>= step;
            exponent += step;
        }
        step >>= 1;
    }
    // 1.xxx in 38 bits, of which six choose the entry and 32 lie between it and the next.
    let mantissa = uniform << (38 - exponent);
    let index = ((mantissa >> 32) & 63) as usize;
    let low = LOGARITHM[index] as u64;
    let high = LOGARITHM[index + 1] as u64;
    let logarithm = exponent * LN_2 + low + (((high - low) * (mantissa & 0xffff_ffff)) >> 32);
    (32 * LN_2).saturating_sub(logarithm)
}

/// Bytes until the next sample, for samples that are `mean` bytes apart on average.
#[inline]
pub const fn distance(random: u32, mean: u64) -> u64 {
    // The largest number is below 2^25: no overflow up to a mean of 512 GiB.
    (draw(random) * mean) >> FRACTION_BITS
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn it_is_the_negative_logarithm() {
        for random in (0..=u32::MAX).step_by(65_521).chain([1, 2, 3, u32::MAX - 1, u32::MAX]) {
            let exact = -((f64::from(random) + 1.0) / 4_294_967_296.0).ln();
            let drawn = draw(random) as f64 / f64::from(1 << FRACTION_BITS);
            assert!((drawn - exact).abs() < 4e-5, "{random}: {drawn} instead of {exact}");
        }
    }

    #[test]
    fn the_mean_is_the_one_asked_for() {
        let count = 1 << 20;
        let sum: u64 = (0..count).map(|step: u32| distance(step << 12 | 0x800, 524_288)).sum();
        let mean = sum as f64 / f64::from(count);
        assert!((mean / 524_288.0 - 1.0).abs() < 1e-3, "{mean}");
    }
}
