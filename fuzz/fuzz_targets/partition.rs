//! Any bytes as a file of the store: its head, its frames, its index and every block in it are read without a panic, and what decodes is written and read
//! again to the same values.
#![no_main]

#[path = "."]
mod store {
    #[path = "."]
    pub mod disk {
        #[path = "../../leakwatch/src/store/disk/column.rs"]
        pub mod column;
        #[path = "../../leakwatch/src/store/disk/codec/mod.rs"]
        pub mod codec;
    }
}

use libfuzzer_sys::fuzz_target;
use store::disk::codec::block;
use store::disk::codec::frame;
use store::disk::codec::profile;
use store::disk::codec::stacks::Stacks;

fuzz_target!(|bytes: &[u8]| {
    let _head = frame::decode_head(bytes);
    let _trailer = frame::decode_trailer(bytes);
    for (_, found) in frame::scan(bytes).frames {
        look(found.payload);
    }
    look(bytes);
});

fn look(payload: &[u8]) {
    if let Ok(rows) = block::decode_rows(payload) {
        assert_eq!(block::decode_rows(&block::encode_rows(&rows).unwrap()), Ok(rows));
    }
    if let Ok(rollups) = block::decode_rollups(payload) {
        assert_eq!(block::decode_rollups(&block::encode_rollups(&rollups).unwrap()), Ok(rollups));
    }
    if let Ok(values) = profile::decode(&[], payload) {
        let again = profile::decode(&[], &profile::encode(&[], &values).unwrap()).unwrap();
        assert_eq!(again.len(), values.len());
    }
    let _index = frame::decode_index(payload, |_| true);
    let mut stacks = Stacks::default();
    if stacks.extend(payload).is_ok() {
        assert!(stacks.stack(u32::MAX).is_none());
    }
}
