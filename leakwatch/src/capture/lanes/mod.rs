//! The lanes that captures have: ways of seeing allocations from outside. Each is one row of [`LANES`] and one file here; what runs a capture
//! knows no lane by name.

pub mod native;
pub mod growth;
pub mod usdt;

pub use crate::capture::lane::Counted;
pub use crate::capture::lane::DutyCycle;
pub use crate::capture::lane::Lane;
pub use crate::capture::lane::Observer;

/// All of them.
pub static LANES: [&Lane; 3] = [&native::LANE, &growth::LANE, &usdt::LANE];

impl Lane {
    /// The lane with this name on the wire.
    pub fn from_name(name: &str) -> Option<&'static Self> {
        LANES.into_iter().find(|lane| lane.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_documented_and_found_by_its_name() {
        let documented = include_str!("../../../../docs/native.md");
        for lane in LANES {
            assert_eq!(Lane::from_name(lane.name), Some(lane));
            assert!(documented.contains(&format!("`{}`", lane.name)), "{lane:?}");
        }
        assert_eq!(Lane::from_name("heap"), None);
    }
}
