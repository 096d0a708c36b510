//! Each rule on a planted mistake, and on what is right.

use super::source::Source;
use super::*;

fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

/// What all rules say about some files, without their paths.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<Source> = files.iter().map(|(path, text)| source(path, text)).collect();
    check(&sources).into_iter().map(|problem| problem.text).collect()
}

#[test]
fn a_file_that_breaks_a_rule_is_named_with_the_rule() {
    let long = format!("//! Long.\n{}", "\n".repeat(500));
    let excused = format!("{long}// tidy: long because it is one table\n");
    for (path, text, expected) in [
        (
            "leakwatch/src/store/mod.rs",
            "//! Fine.\nuse crate::store::Store;\n",
            vec![],
        ),
        (
            "leakwatch/src/store.rs",
            "//! No.\nuse crate::api::Router;\n",
            vec!["store may not use api"],
        ),
        ("leakwatch/src/store.rs", "//! See.\n/// [`crate::api`]\n", vec![]),
        (
            "leakwatch/src/cli/mod.rs",
            "//! All.\nuse crate::api::Router;\n",
            vec![],
        ),
        (
            "leakwatch/src/cli/mod.rs",
            "//! No.\nuse aya::Ebpf;\n",
            vec!["aya is known to probes only"],
        ),
        (
            "leakwatch/src/probes/ring.rs",
            "//! Fine.\nuse aya::Ebpf;\nuse self::aya_like::X;\n",
            vec![],
        ),
        (
            "leakwatch/src/new.rs",
            "//! New.\n",
            vec!["module new is not in the table of edges (xtask/src/tidy/edges.rs)"],
        ),
        (
            "xtask/src/x.rs",
            "use std::fs;\n",
            vec!["does not open with a `//!` that says what it is for"],
        ),
        (
            "tests/x.rs",
            &long,
            vec!["501 lines; split it, or say `// tidy: long because ...`"],
        ),
        ("tests/x.rs", &excused, vec![]),
        (
            "docs/x.md",
            &long,
            vec!["501 lines; a reference document has at most 150"],
        ),
        ("docs/experiments/x.md", &long, vec![]),
    ] {
        assert_eq!(found(&[(path, text)]), expected, "{path}: {text:.60}");
    }
}

#[test]
fn an_upward_edge_in_a_layered_crate_is_found_through_re_exports() {
    let root = "//! Root.\npub mod low;\npub mod high;\npub use high::Name;\n";
    let high = (
        "leakwatch/goproc/src/high.rs",
        "//! High.\nuse crate::low::Word;\npub struct Name;\n",
    );
    for (low, expected) in [
        ("//! Low.\npub struct Word;\n", vec![]),
        (
            "//! Low.\npub struct Word(crate::Name);\n",
            vec![
                "low may not use high, which comes after it",
                "files that use one another: high.rs, low.rs",
            ],
        ),
        (
            "//! Low.\npub struct Word;\n#[cfg(test)]\nmod tests {\n    use crate::high::Name;\n}\n",
            vec![],
        ),
    ] {
        let files = [
            ("leakwatch/goproc/src/lib.rs", root),
            ("leakwatch/goproc/src/low.rs", low),
            high,
        ];
        assert_eq!(found(&files), expected, "{low}");
    }
}

#[test]
fn a_cycle_between_the_files_of_a_folder_is_found() {
    let root = ("xtask/src/lib.rs", "//! Root.\nmod house;\n");
    let door = (
        "xtask/src/house/door.rs",
        "//! Door.\nuse super::Key;\npub(super) struct Door(Key);\n",
    );
    for (house, expected) in [
        // Declaring and passing on is no use.
        ("//! House.\nmod door;\npub use door::Door;\npub struct Key;\n", vec![]),
        (
            "//! House.\nmod door;\nuse door::Door;\npub struct Key;\npub struct House(Door);\n",
            vec!["files that use one another: house/mod.rs, house/door.rs"],
        ),
        (
            "//! House.\nmod door;\npub use door::Door;\npub struct Key;\npub struct House(Door);\n",
            vec!["files that use one another: house/mod.rs, house/door.rs"],
        ),
        (
            "//! House.\nmod door;\npub struct Key;\npub struct House(door::Door);\n",
            vec!["files that use one another: house/mod.rs, house/door.rs"],
        ),
    ] {
        assert_eq!(
            found(&[root, ("xtask/src/house/mod.rs", house), door]),
            expected,
            "{house}"
        );
    }
}

#[test]
fn a_second_definition_of_a_record_is_found() {
    let first = (
        "leakwatch-common/src/event.rs",
        "//! Events.\n#[derive(\n    FromBytes,\n)]\n#[repr(C)]\npub struct ProcessExit {\n",
    );
    for (path, text, expected) in [
        (
            "leakwatch-ebpf/src/exit.rs",
            "//! Exits.\n#[repr(C)]\nstruct ProcessExit {\n",
            vec!["ProcessExit is a kernel record that leakwatch-common/src/event.rs defines, too"],
        ),
        // Another layer's type of the same thing.
        (
            "leakwatch-ebpf/src/exit.rs",
            "//! Exits.\n#[derive(Clone)]\nstruct ProcessExit {\n",
            vec![],
        ),
        (
            "leakwatch-ebpf/src/exit.rs",
            "//! Exits.\n#[repr(C)]\nstruct Other {\n",
            vec![],
        ),
    ] {
        assert_eq!(found(&[first, (path, text)]), expected, "{text}");
    }
    let model = [
        ("leakwatch/analysis/src/one.rs", "//! One.\npub struct Sample;\n"),
        ("leakwatch/analysis/src/two.rs", "//! Two.\npub enum Sample {}\n"),
    ];
    let expected = ["Sample is a type of the model that leakwatch/analysis/src/one.rs defines, too"];
    assert_eq!(found(&model), expected);
}

#[test]
fn vague_names_and_replaced_words_are_found() {
    for (path, text, expected) in [
        ("xtask/src/utils.rs", "//! No.\n", "utils is a vague name for a module"),
        (
            "xtask/src/x.rs",
            "//! No.\npub struct KeyManager;\n",
            "KeyManager (line 2) is a vague name",
        ),
        (
            "xtask/src/x.rs",
            "//! No.\npub(crate) fn handle_exit() {}\n",
            "handle_exit (line 2) is a vague name",
        ),
        (
            "xtask/src/x.rs",
            "//! No.\nconst MOST_PRICE: u32 = 1;\n",
            "line 2: MOST_PRICE: say `probe cost` instead of `price`",
        ),
        (
            "xtask/src/x.rs",
            "//! No.\nstruct LastMoment;\n",
            "line 2: LastMoment: say `sampling window` instead of `moment`",
        ),
        (
            "docs/x.md",
            "It is looked at.\n",
            "line 1: say `sampled, read or captured` instead of `looked at`",
        ),
        (
            "docs/x.md",
            "As issue 7 has it.\n",
            "line 1 refers to what a reader does not have",
        ),
    ] {
        assert_eq!(found(&[(path, text)]), [expected], "{text}");
    }
    let fine = "//! Fine.\nstruct Priced;\nfn momentum() {}\nlet price = 1;\n";
    assert_eq!(found(&[("xtask/src/x.rs", fine)]), Vec::<String>::new());
}
