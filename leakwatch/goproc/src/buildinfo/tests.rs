//! Hand-made files of both formats, and hostile ones. Real executables are compared with `go version -m` in
//! `tests/buildinfo.rs`.

use super::*;
use proptest::prelude::*;

const BASE: u64 = 0x40_0000;
const MODULES: &str = "path\texample.org/shop/cmd/shop\nmod\texample.org/shop\t(devel)\t\nbuild\t-compiler=gc\nbuild\tvcs.revision=8f2d31c7\nbuild\tvcs.modified=true\n";

/// How a file is made.
#[derive(Clone, Copy, Debug)]
struct Form {
    wide: bool,
    big_endian: bool,
    sections: bool,
}

const FORMS: [Form; 6] = [
    form(true, false, true),
    form(true, false, false),
    form(true, true, true),
    form(false, false, true),
    form(false, false, false),
    form(false, true, true),
];

const fn form(wide: bool, big_endian: bool, sections: bool) -> Form {
    Form {
        wide,
        big_endian,
        sections,
    }
}

impl Form {
    fn put(self, bytes: &mut Vec<u8>, value: u64, size: usize) {
        let little = value.to_le_bytes();
        let mut part = little[..size].to_vec();
        if self.big_endian {
            part.reverse();
        }
        bytes.extend(part);
    }

    fn word(self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    fn row(self, fields: &[(u64, usize)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (value, size) in fields {
            self.put(&mut bytes, *value, *size);
        }
        bytes
    }

    /// An executable whose one writable segment holds `data` at [`BASE`] plus its offset.
    fn file(self, data: &[u8]) -> Vec<u8> {
        let word = self.word();
        let (header, segment, section) = if self.wide { (64, 56, 64) } else { (52, 32, 40) };
        let data_at = header + 2 * segment;
        let names = b"\0.shstrtab\0.go.buildinfo\0";
        let names_at = data_at + data.len() as u64;
        let sections_at = names_at + names.len() as u64;
        let shoff = if self.sections { sections_at } else { 0 };
        let mut file = vec![
            0x7f,
            b'E',
            b'L',
            b'F',
            if self.wide { 2 } else { 1 },
            if self.big_endian { 2 } else { 1 },
            1,
        ];
        file.resize(16, 0);
        file.extend(self.row(&[
            (2, 2),
            (62, 2),
            (1, 4),
            (BASE, word),
            (header, word),
            (shoff, word),
            (0, 4),
        ]));
        file.extend(self.row(&[(header, 2), (segment, 2), (2, 2), (section, 2), (3, 2), (1, 2)]));
        // text: readable and executable; data: readable and writable
        for (flags, offset, length) in [(5, 0, data_at), (6, data_at, data.len() as u64)] {
            let (address, length) = (BASE + offset, length);
            file.extend(if self.wide {
                self.row(&[
                    (1, 4),
                    (flags, 4),
                    (offset, 8),
                    (address, 8),
                    (address, 8),
                    (length, 8),
                    (length, 8),
                    (16, 8),
                ])
            } else {
                self.row(&[
                    (1, 4),
                    (offset, 4),
                    (address, 4),
                    (address, 4),
                    (length, 4),
                    (length, 4),
                    (flags, 4),
                    (16, 4),
                ])
            });
        }
        assert_eq!(file.len() as u64, data_at);
        file.extend(data);
        file.extend(names);
        for (name, kind, address, offset, length) in [
            (0, 0, 0, 0, 0),
            (1, 3, 0, names_at, names.len() as u64),
            (11, 1, BASE + data_at, data_at, data.len() as u64),
        ] {
            let mut row = self.row(&[
                (name, 4),
                (kind, 4),
                (0, word),
                (address, word),
                (offset, word),
                (length, word),
            ]);
            row.resize(usize::try_from(section).unwrap(), 0);
            file.extend(row);
        }
        file
    }

    fn data_address(self) -> u64 {
        BASE + if self.wide { 64 + 2 * 56 } else { 52 + 2 * 32 }
    }

    /// The record of Go 1.13 to 1.17, with the string variables and the strings behind it.
    fn pointed(self, version: &str, modules: &[u8]) -> Vec<u8> {
        let word = self.word();
        let base = self.data_address();
        let variables = base + 32;
        let strings = variables + 4 * word as u64;
        let mut data = MAGIC.to_vec();
        data.extend([if self.wide { 8 } else { 4 }, u8::from(self.big_endian)]);
        self.put(&mut data, variables, word);
        self.put(&mut data, variables + 2 * word as u64, word);
        data.resize(32, 0);
        for (address, length) in [
            (strings, version.len()),
            (strings + version.len() as u64, modules.len()),
        ] {
            self.put(&mut data, address, word);
            self.put(&mut data, length as u64, word);
        }
        data.extend(version.bytes());
        data.extend(modules);
        data
    }
}

/// The record of Go 1.18 and later.
fn inline_record(version: &str, modules: &[u8]) -> Vec<u8> {
    let mut data = MAGIC.to_vec();
    data.extend([0, 2]);
    data.resize(32, 0);
    for string in [version.as_bytes(), modules] {
        let mut length = string.len();
        while length >= 0x80 {
            data.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        data.push(u8::try_from(length).unwrap());
        data.extend(string);
    }
    data
}

fn marked(modules: &str) -> Vec<u8> {
    [
        b"0w\xaf\x0c\x92t\x08\x02A\xe1\xc1\x07\xe6\xd6\x18\xe6",
        modules.as_bytes(),
        b"\xf92C1\x86\x18 r\x00\x82B\x10A\x16\xd8\xf2",
    ]
    .concat()
}

fn expected(version: &str) -> BuildInfo {
    BuildInfo {
        version: version.to_owned(),
        main_package: Some("example.org/shop/cmd/shop".to_owned()),
        main_module: Some("example.org/shop".to_owned()),
        main_version: Some("(devel)".to_owned()),
        revision: Some("8f2d31c7".to_owned()),
        modified: Some(true),
    }
}

fn read_bytes(bytes: &[u8]) -> Result<Option<BuildInfo>, BuildInfoError> {
    read(bytes)
}

#[test]
fn both_formats_in_every_form_of_file() {
    for form in FORMS {
        let inline = form.file(&inline_record("go1.27.3 X:nodwarf5", &marked(MODULES)));
        assert_eq!(
            read_bytes(&inline).unwrap(),
            Some(expected("go1.27.3 X:nodwarf5")),
            "{form:?}"
        );
        let pointed = form.file(&form.pointed("go1.16.15", &marked(MODULES)));
        assert_eq!(read_bytes(&pointed).unwrap(), Some(expected("go1.16.15")), "{form:?}");
    }
}

#[test]
fn the_record_is_found_behind_other_data() {
    let form = form(true, false, false);
    let chunk = usize::try_from(CHUNK).unwrap();
    for before in [16, chunk - 16, chunk, 3 * chunk + 32] {
        let mut data = vec![0xff; before];
        data.extend(inline_record("go1.20", b""));
        assert_eq!(read_bytes(&form.file(&data)).unwrap().unwrap().version, "go1.20");
    }
    let unaligned = [&[0; 8][..], &inline_record("go1.20", b"")].concat();
    assert_eq!(read_bytes(&form.file(&unaligned)).unwrap(), None);
}

#[test]
fn programs_without_modules_have_a_version() {
    let form = FORMS[0];
    for modules in [vec![], marked(""), b"short".to_vec(), vec![b'x'; 64]] {
        let info = read_bytes(&form.file(&inline_record("devel go1.28-abc", &modules)))
            .unwrap()
            .unwrap();
        assert_eq!((info.main_package, info.main_module, info.revision), (None, None, None));
        assert_eq!(info.version, "devel go1.28-abc");
    }
}

#[test]
fn what_is_not_go_is_none() {
    for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fEL", &[0; 4096]] {
        assert_eq!(read_bytes(bytes).unwrap(), None);
    }
    for form in FORMS {
        assert_eq!(read_bytes(&form.file(b"just data")).unwrap(), None);
    }
}

#[test]
fn hostile_records_are_refused() {
    let form = FORMS[0];
    let long = |length: &[u8]| {
        let mut data = inline_record("", b"");
        data.truncate(32);
        data.extend(length);
        read_bytes(&form.file(&data)).unwrap_err().to_string()
    };
    assert_eq!(
        long(&[0xff, 0xff, 0xff, 0xff, 0x0f]),
        "the version of the build info claims 4294967295 bytes, more than 512"
    );
    assert_eq!(long(&[0xff; 10]), "the version of the build info is malformed");
    assert_eq!(long(&[0]), "the version of the build info is malformed");
    let mut data = form.pointed("go1.16", b"");
    data[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
    let error = read_bytes(&form.file(&data)).unwrap_err().to_string();
    assert_eq!(
        error,
        "the build info points to address 0xffffffffffffffff, which is not in the file"
    );
    data[14] = 3;
    let error = read_bytes(&form.file(&data)).unwrap_err().to_string();
    assert_eq!(error, "the pointer size of the build info is malformed");
    let not_utf8 = inline_record("go1.20", b"")
        .iter()
        .map(|byte| if *byte == b'.' { 0xff } else { *byte })
        .collect::<Vec<_>>();
    assert!(matches!(
        read_bytes(&form.file(&not_utf8)),
        Err(BuildInfoError::Malformed { what: "version" })
    ));
}

#[test]
fn a_table_of_giant_entries_is_refused_before_it_is_read() {
    let mut file = FORMS[0].file(&inline_record("go1.20", b""));
    file[58..60].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(matches!(
        read_bytes(&file),
        Err(BuildInfoError::Elf(ElfError::Malformed { what: "entry size" }))
    ));
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_not_go() {
    for form in FORMS {
        for data in [
            inline_record("go1.27.3", &marked(MODULES)),
            form.pointed("go1.16.15", &marked(MODULES)),
        ] {
            let file = form.file(&data);
            for end in 0..file.len() {
                if let Ok(Some(info)) = read_bytes(&file[..end]) {
                    // Only what lies behind the record may be missing.
                    assert!(!form.sections, "{form:?} cut at {end}");
                    assert_eq!(info.main_module.as_deref(), Some("example.org/shop"));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn flipped_bytes_never_panic(
        which in 0..FORMS.len(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        old in any::<bool>(),
    ) {
        let form = FORMS[which];
        let data = if old { form.pointed("go1.16.15", &marked(MODULES)) } else { inline_record("go1.27.3", &marked(MODULES)) };
        let mut file = form.file(&data);
        for (index, value) in flips {
            let at = index.index(file.len());
            file[at] = value;
        }
        if let Ok(Some(info)) = read_bytes(&file) {
            prop_assert!(info.version.len() <= 512);
        }
    }

    #[test]
    fn any_bytes_behind_a_header_never_panic(
        class in 0_u8..4,
        encoding in 0_u8..4,
        rest in proptest::collection::vec(any::<u8>(), 0..512),
    ) {
        let mut file = vec![0x7f, b'E', b'L', b'F', class, encoding];
        file.extend(rest);
        drop(read_bytes(&file));
    }
}
