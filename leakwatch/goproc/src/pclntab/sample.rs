//! A function table made by hand, for tests: four functions with one inlined call, in the format of Go 1.20 and later.

use super::Pclntab;

/// Linked address of the first function.
pub(crate) const TEXT: u64 = 0x40_1000;
/// `main.outer`, 64 bytes; from 16 to 48 the code of `main.inner`, inlined.
pub(crate) const OUTER: u64 = TEXT;
/// `main.wrapper`, 32 bytes, which the compiler has made.
pub(crate) const WRAPPER: u64 = TEXT + 64;
/// `runtime.systemstack_switch`, 32 bytes.
pub(crate) const SWITCH: u64 = TEXT + 96;
/// `runtime.goexit`, 32 bytes, with which stacks begin.
pub(crate) const GOEXIT: u64 = TEXT + 128;
/// Behind the text.
pub(crate) const END: u64 = TEXT + 160;

const NAMES: &[u8] =
    b"main.outer\0main.inner[go.shape.int]\0main.wrapper\0runtime.systemstack_switch\0runtime.goexit\0";
const FILES: &[u8] = b"/src/outer.go\0/src/inner.go\0";

/// Offset of a name or a file.
fn offset(strings: &[u8], name: &str) -> u32 {
    let terminated = [name.as_bytes(), b"\0"].concat();
    u32::try_from(
        strings
            .windows(terminated.len())
            .position(|part| part == terminated)
            .unwrap(),
    )
    .unwrap()
}

/// Appends a table of (value, bytes of code) and answers where it starts.
fn values(table: &mut Vec<u8>, runs: &[(i32, u32)]) -> u32 {
    let start = u32::try_from(table.len()).unwrap();
    let mut before = -1;
    for (value, length) in runs {
        let change = value - before;
        varint(table, ((change << 1) ^ (change >> 31)).cast_unsigned());
        varint(table, *length);
        before = *value;
    }
    table.push(0);
    start
}

fn varint(table: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        table.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    table.push(value.to_le_bytes()[0]);
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The bytes of the table.
pub(crate) fn bytes() -> Vec<u8> {
    // Offset 0 means that there is no table.
    let mut pctab = vec![0];
    let mut function = |start: u32, size: u32, name: &str, id: u8, flags: u8, depth: i32| {
        let inlined = name == "main.outer";
        let pcsp = values(&mut pctab, &[(0, 4), (depth, size - 4)]);
        let (pcfile, pcln, tree) = if inlined {
            let pcfile = values(&mut pctab, &[(0, 16), (1, 32), (0, 16)]);
            let pcln = values(&mut pctab, &[(10, 16), (300, 32), (12, 16)]);
            (pcfile, pcln, values(&mut pctab, &[(-1, 16), (0, 32), (-1, 16)]))
        } else {
            (values(&mut pctab, &[(0, size)]), values(&mut pctab, &[(7, size)]), 0)
        };
        let mut record = words(&[start, offset(NAMES, name), 0, 0, pcsp, pcfile, pcln, 3, 0, 9]);
        record.extend([id, flags, 0, 4]);
        record.extend(words(&[0, 0, tree]));
        record.extend(words(&[
            u32::MAX,
            u32::MAX,
            u32::MAX,
            if inlined { 0 } else { u32::MAX },
        ]));
        record
    };
    let records = [
        (0, function(0, 64, "main.outer", 0, 0, 24)),
        (64, function(64, 32, "main.wrapper", 24, 0, 8)),
        (96, function(96, 32, "runtime.systemstack_switch", 23, 2, 0)),
        (128, function(128, 32, "runtime.goexit", 8, 1, 0)),
    ];
    let mut index = Vec::new();
    let mut bodies: Vec<u8> = Vec::new();
    let index_size = records.len() * 8 + 4;
    for (start, record) in &records {
        index.extend(words(&[*start, u32::try_from(index_size + bodies.len()).unwrap()]));
        bodies.extend(record);
    }
    index.extend(words(&[160]));
    index.extend(bodies);
    let units = words(&[offset(FILES, "/src/outer.go"), offset(FILES, "/src/inner.go")]);
    let mut table = vec![0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    let mut at = 72;
    let mut header: Vec<u64> = vec![records.len() as u64, 2, 0];
    for part in [NAMES, &units, FILES, &pctab, &index] {
        header.push(at);
        at += part.len() as u64;
    }
    table.extend(header.iter().flat_map(|word| word.to_le_bytes()));
    for part in [NAMES, &units, FILES, &pctab, &index] {
        table.extend(part);
    }
    table
}

/// The inline tree: one call of `main.inner` at the start of `main.outer`.
pub(crate) fn inline_trees() -> Vec<u8> {
    words(&[0, offset(NAMES, "main.inner[go.shape.int]"), 8, 1])
}

/// The table.
pub(crate) fn table() -> Pclntab<Vec<u8>> {
    Pclntab::parse(bytes(), TEXT).unwrap().with_inline_trees(inline_trees())
}
