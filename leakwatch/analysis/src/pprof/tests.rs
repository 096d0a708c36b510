//! Hostile bytes, and the round trip of generated profiles. Real profiles are compared with `go tool pprof` in
//! `tests/pprof.rs`.

use super::*;
use crate::model::profile::ProfileType;
use crate::model::stack::StackTable;
use crate::pprof::codec::decompress;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write as _;

/// Written by the Go program `tests/programs/profiled`.
const HEAP: &[u8] = include_bytes!("../../../../fuzz/corpus/pprof/heap.pb.gz");
const GOROUTINE: &[u8] = include_bytes!("../../../../fuzz/corpus/pprof/goroutine.pb.gz");

/// One way to break a good profile.
type Damage = fn(&mut proto::Profile);

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(plain).unwrap();
    gzip.finish().unwrap()
}

fn real() -> proto::Profile {
    decode(HEAP, &Bounds::default()).unwrap()
}

fn error_of(profile: &proto::Profile) -> String {
    decode(&encode(profile), &Bounds::default()).unwrap_err().to_string()
}

#[test]
fn plain_and_gzipped_bytes_give_the_same_profile() {
    let plain = decompress(HEAP, 1 << 20).unwrap();
    let profile = decode(&plain, &Bounds::default()).unwrap();
    assert_eq!(profile, real());
    assert_eq!(decode(&encode(&profile), &Bounds::default()).unwrap(), profile);
    assert_eq!(
        encode(&profile),
        encode(&real()),
        "the same profile gives the same bytes"
    );
}

#[test]
fn a_gzip_bomb_is_refused_at_the_bound() {
    let bounds = Bounds {
        max_decompressed_bytes: 1 << 20,
        ..Bounds::default()
    };
    let bomb = gzip(&vec![0; 32 << 20]);
    assert!(bomb.len() < 1 << 20);
    let error = decode(&bomb, &bounds).unwrap_err();
    assert_eq!(error.to_string(), "profile has more than 1048576 decompressed bytes");
}

#[test]
fn what_would_become_large_is_counted_before_it_is_made() {
    // An empty sample, location, function, string, sample type, mapping or comment: two bytes each.
    for (tag, what) in [
        (0x12, "samples"),
        (0x22, "locations"),
        (0x2a, "functions"),
        (0x32, "strings"),
        (0x0a, "sample types"),
        (0x1a, "mappings"),
        (0x6a, "comments"),
    ] {
        let error = decode(&[tag, 0].repeat(300_000), &Bounds::default()).unwrap_err();
        assert!(
            matches!(error, PprofError::TooLarge { what: found, .. } if found == what),
            "{what}: {error}"
        );
    }
    let field = |tag: u8, payload: &[u8]| {
        let mut bytes = vec![tag];
        prost::encode_length_delimiter(payload.len(), &mut bytes).unwrap();
        bytes.extend_from_slice(payload);
        bytes
    };
    let bounds = Bounds {
        max_elements: 50_000,
        ..Bounds::default()
    };
    for (nested, what) in [
        (field(0x12, &field(0x0a, &[1; 3_000])), "locations in one stack"),
        (field(0x12, &field(0x12, &vec![1; 50_001])), "elements"),
        (field(0x12, &[0x10, 1].repeat(50_001)), "elements"),
        (field(0x12, &[0x1a, 0].repeat(50_001)), "elements"),
        (field(0x22, &[0x22, 0].repeat(50_001)), "elements"),
    ] {
        let error = decode(&nested, &bounds).unwrap_err();
        assert!(
            matches!(error, PprofError::TooLarge { what: found, .. } if found == what),
            "{what}: {error}"
        );
    }
}

#[test]
fn every_broken_reference_is_named() {
    let cases: [(&str, Damage); 12] = [
        ("string table", |profile| profile.string_table.clear()),
        ("string table", |profile| profile.string_table[0] = "x".into()),
        ("a function refers to string -1", |profile| {
            profile.function[0].name = -1;
        }),
        ("a label refers to string 9999", |profile| {
            profile.sample[0].label[0].key = 9999;
        }),
        ("the profile refers to string 9999", |profile| {
            profile.default_sample_type = 9999;
        }),
        ("location 9999 does not exist", |profile| {
            profile.sample[0].location_id[0] = 9999;
        }),
        ("function 9999 does not exist", |profile| {
            profile.location[0].line[0].function_id = 9999;
        }),
        ("mapping 9999 does not exist", |profile| {
            profile.location[0].mapping_id = 9999;
        }),
        ("id 1 of a function", |profile| profile.function[1].id = 1),
        ("id 0 of a location", |profile| profile.location[0].id = 0),
        ("a sample has 3 values for 4 sample types", |profile| {
            profile.sample[0].value.pop();
        }),
        ("values of inuse_space add up", |profile| {
            profile.sample[0].value[3] = i64::MIN;
            profile.sample[1].value[3] = i64::MAX;
        }),
    ];
    for (expected, damage) in cases {
        let mut profile = real();
        damage(&mut profile);
        let error = error_of(&profile);
        assert!(error.contains(expected), "{error} instead of {expected}");
    }
}

#[test]
fn other_content_is_refused() {
    for body in [
        &b""[..],
        b"<html>not found</html>",
        b"\x1f\x8b",
        b"\x1f\x8b\x08garbage",
        &HEAP[..HEAP.len() / 2],
    ] {
        assert!(decode(body, &Bounds::default()).is_err(), "{body:?}");
    }
}

fn generated() -> impl Strategy<Value = proto::Profile> {
    let strings = proptest::collection::vec("[a-z./]{0,12}", 6..12);
    let sample = (
        proptest::collection::vec(1_u64..5, 0..6),
        proptest::array::uniform2(-(1_i64 << 40)..1 << 40),
        proptest::option::of((0_i64..6, any::<i64>())),
    );
    let samples = proptest::collection::vec(sample, 0..20);
    let addresses = proptest::array::uniform4((any::<u64>(), 0_i64..6, 0_i64..1 << 31));
    (strings, samples, addresses, any::<i64>()).prop_map(|(strings, samples, addresses, time_nanos)| {
        let ids = || (1_u64..).zip(addresses);
        proto::Profile {
            sample_type: vec![proto::ValueType { r#type: 1, unit: 2 }; 2],
            sample: samples
                .into_iter()
                .map(|(location_id, value, label)| proto::ProfileSample {
                    location_id,
                    value: value.to_vec(),
                    label: label
                        .map(|(key, num)| proto::Label {
                            key,
                            num,
                            ..proto::Label::default()
                        })
                        .into_iter()
                        .collect(),
                })
                .collect(),
            location: ids()
                .map(|(id, (address, _, line))| proto::Location {
                    id,
                    address,
                    line: vec![proto::Line {
                        function_id: id,
                        line,
                        column: 0,
                    }],
                    ..proto::Location::default()
                })
                .collect(),
            function: ids()
                .map(|(id, (_, name, start_line))| proto::Function {
                    id,
                    name,
                    start_line,
                    ..proto::Function::default()
                })
                .collect(),
            string_table: std::iter::once(String::new()).chain(strings).collect(),
            time_nanos,
            ..proto::Profile::default()
        }
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(profile in generated()) {
        prop_assert_eq!(decode(&encode(&profile), &Bounds::default()).unwrap(), profile);
    }

    /// Damaged profiles are refused or summarized, and never panic.
    #[test]
    fn no_mutation_panics(
        is_heap in any::<bool>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..12),
    ) {
        let original = if is_heap { HEAP } else { GOROUTINE };
        let mut plain = decompress(original, 1 << 20).unwrap();
        for (place, byte, edit) in edits {
            let index = place.index(plain.len());
            match edit {
                0 => plain[index] = byte,
                1 => plain.insert(index, byte),
                2 if plain.len() > 1 => { plain.remove(index); }
                _ => plain.truncate(index.max(1)),
            }
        }
        for bytes in [gzip(&plain), plain] {
            if let Ok(profile) = decode(&bytes, &Bounds::default()) {
                for profile_type in ProfileType::ALL {
                    let summary = summarize(&profile, profile_type, &mut StackTable::default());
                    prop_assert!(summary.map_or(true, |summary| summary.total.inuse_variance.is_finite()));
                }
            }
        }
    }
}
