//! What the programs on static probes are told, and what they count.

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

/// Places of probes in one process: entries of the array `USDT_SITES`, found by the attach cookie.
pub const MAX_SITES: u32 = 256;

/// Where an argument is. Little-endian.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct UsdtArgument {
    /// One of [`usdt_place`].
    pub place: u32,
    /// Offset of the register in `struct pt_regs`.
    pub register: u32,
    /// The constant, or what is added to the register.
    pub value: u64,
    /// Bits that the value does not have: 64 less those it has.
    pub unused_bits: u32,
    /// Not zero when the topmost bit is a sign.
    pub is_signed: u32,
}

/// Values of [`UsdtArgument::place`].
pub mod usdt_place {
    /// It is the constant.
    pub const CONSTANT: u32 = 0;
    /// In the register.
    pub const REGISTER: u32 = 1;
    /// In memory.
    pub const MEMORY: u32 = 2;
}

/// The arguments of one place of a probe, as many as it has.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct UsdtSite {
    /// Address, size, bytes that the sample stands for.
    pub arguments: [UsdtArgument; 3],
}

/// A sampled object that was not freed. Key of its map: the address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct UsdtObject {
    /// Fingerprint of the allocating stack.
    pub fingerprint: u64,
    /// Bytes asked for.
    pub size: u64,
    /// Bytes that it stands for.
    pub weight: u64,
}
