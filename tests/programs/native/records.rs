//! Keeps a copy of every record in a map for ever: about 2 MB a second through the standard library's collections, beside strings that come and go.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::thread::sleep;
use std::time::Duration;

const RECORD_BYTES: usize = 3000;

#[derive(Default)]
struct Archive {
    records: BTreeMap<usize, Vec<u8>>,
}

impl Archive {
    #[inline(never)]
    fn keep(&mut self, number: usize) {
        let record = vec![1; RECORD_BYTES]; // truth: leak
        self.records.insert(number, record);
    }
}

#[inline(never)]
fn handle(number: usize) -> String {
    format!("{}{number}", "r".repeat(2000))
}

fn main() {
    let mut archive = Archive::default();
    for number in 0.. {
        for _ in 0..4 {
            black_box(handle(number));
        }
        archive.keep(black_box(number));
        sleep(Duration::from_micros(1500));
    }
}
