//! Mount tables of real machines, and fake trees.

use super::*;
use std::time::Duration;
use tempfile::TempDir;

const V1: &str = "\
23 1 8:1 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / ROOT/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / ROOT/unified rw,relatime shared:5 - cgroup2 cgroup2 rw
";
const V2: &str = "\
23 1 8:1 / / rw,relatime - ext4 /dev/vda rw
30 23 0:26 / ROOT rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
";

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(4_000_000_000)
}

fn mountinfo(directory: &TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("mountinfo");
    let root = directory.path().to_str().expect("a UTF-8 path");
    fs::write(&path, text.replace("ROOT", root)).expect("a writable directory");
    path
}

fn make(root: &Path, cgroups: &[&str]) {
    for cgroup in cgroups {
        fs::create_dir_all(root.join(cgroup)).expect("a writable directory");
    }
}

fn unified(root: &Path) -> Hierarchy {
    Hierarchy {
        version: Version::V2,
        root: root.to_owned(),
        hybrid: false,
    }
}

#[test]
fn hierarchies_are_found_among_the_mounts() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let found = Hierarchy::from_mountinfo(&mountinfo(&directory, V1)).expect("a v1 hierarchy");
    assert_eq!((found.version, found.hybrid), (Version::V1, true));
    assert_eq!(found.root, directory.path().join("memory"));

    let without_memory = Hierarchy::from_mountinfo(&mountinfo(&directory, V2));
    assert!(matches!(without_memory, Err(CgroupError::NoMemoryController { .. })));
    fs::write(
        directory.path().join("cgroup.controllers"),
        "cpuset cpu io memory pids\n",
    )
    .expect("a writable directory");
    let found = Hierarchy::from_mountinfo(&mountinfo(&directory, V2)).expect("a v2 hierarchy");
    assert_eq!((found.version, found.hybrid), (Version::V2, false));
    assert_eq!(found.root, directory.path());

    for (text, wanted) in [("", "no mounted"), ("nonsense\n", "cannot read")] {
        let error = Hierarchy::from_mountinfo(&mountinfo(&directory, text)).expect_err("an error");
        assert!(error.to_string().starts_with(wanted), "{error}");
    }
    let absent = Hierarchy::from_mountinfo(&directory.path().join("absent"));
    assert!(matches!(absent, Err(CgroupError::Mounts { .. })));
}

#[test]
fn a_bind_mount_of_a_subtree_comes_second() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let text = "\
40 1 0:32 /docker/abc /elsewhere rw - cgroup cgroup rw,memory
41 1 0:32 / ROOT/memory rw - cgroup cgroup rw,memory
";
    let found = Hierarchy::from_mountinfo(&mountinfo(&directory, text)).expect("a v1 hierarchy");
    assert_eq!(found.root, directory.path().join("memory"));
}

#[test]
fn a_root_can_be_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path();
    assert!(matches!(Hierarchy::at(root), Err(CgroupError::NotARoot { .. })));
    fs::write(root.join("cgroup.controllers"), "cpu memory\n").expect("a writable directory");
    assert_eq!(Hierarchy::at(root).expect("v2").version, Version::V2);
    make(root, &["memory", "unified"]);
    fs::write(root.join("memory/memory.usage_in_bytes"), "0\n").expect("a writable directory");
    let v1 = Hierarchy::at(root).expect("v1");
    assert_eq!(
        (v1.version, v1.hybrid, v1.root),
        (Version::V1, true, root.join("memory"))
    );
}

#[test]
fn a_cgroup_path_stays_in_the_hierarchy() {
    for (text, relative) in [
        ("/a/b", "a/b"),
        ("a/b/", "a/b"),
        ("/", ""),
        ("", ""),
        ("//a/./b", "a/b"),
    ] {
        assert_eq!(
            Hierarchy::cgroup_path(Path::new(text)).expect("a path"),
            Path::new(relative)
        );
    }
    assert!(Hierarchy::cgroup_path(Path::new("/a/../../etc")).is_err());
}

#[test]
fn a_walk_finds_the_subtree_and_the_ancestors_of_its_root() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    make(directory.path(), &["pods/a/b", "pods/c", "pods-other/d"]);
    fs::write(directory.path().join("pods/memory.current"), "1\n").expect("a writable directory");
    let paths = |only: &str| {
        let walk = CgroupWalk::run(&unified(directory.path()), Path::new(only), now());
        for (index, found) in walk.directories.iter().enumerate() {
            assert!(found.parent.is_none_or(|parent| parent < index), "parents come first");
        }
        let mut paths: Vec<_> = walk
            .directories
            .into_iter()
            .map(|found| (found.key.path, found.watched))
            .collect();
        paths.sort();
        paths
    };
    let list = |list: &[(&str, bool)]| -> Vec<(String, bool)> {
        list.iter()
            .map(|(path, watched)| ((*path).to_owned(), *watched))
            .collect()
    };
    assert_eq!(
        paths("pods"),
        list(&[
            ("/", false),
            ("/pods", true),
            ("/pods/a", true),
            ("/pods/a/b", true),
            ("/pods/c", true)
        ])
    );
    assert_eq!(
        paths("pods/a/b"),
        list(&[("/", false), ("/pods", false), ("/pods/a", false), ("/pods/a/b", true)])
    );
    assert_eq!(paths("").len(), 7);
    assert_eq!(paths("pods/absent"), list(&[("/", false), ("/pods", false)]));
}

#[test]
fn names_that_are_not_utf8_stay_distinct() {
    use std::ffi::OsStr;
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in [b"caf\xe9".as_slice(), b"caf\xea"] {
        fs::create_dir(directory.path().join(OsStr::from_bytes(name))).expect("a writable directory");
    }
    let walk = CgroupWalk::run(&unified(directory.path()), Path::new(""), now());
    let mut paths: Vec<_> = walk.directories.iter().map(|found| found.key.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/", "/caf\\xe9", "/caf\\xea"]);
}

#[test]
fn too_deep_is_counted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    make(directory.path(), &[&"d/".repeat(CgroupWalk::MAX_DEPTH + 3)]);
    let walk = CgroupWalk::run(&unified(directory.path()), Path::new(""), now());
    assert_eq!(walk.directories.len(), CgroupWalk::MAX_DEPTH + 1);
    assert_eq!(walk.losses.len(), 1);
    assert_eq!(
        walk.losses.first().map(|loss| (&*loss.reason, loss.count)),
        Some(("cgroup_too_deep", 1))
    );
}

#[test]
fn an_inode_is_resolved_and_remembered_for_a_while() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    make(directory.path(), &["a/b"]);
    let index = CgroupIndex::new(unified(directory.path()));
    let walk = CgroupWalk::run(&unified(directory.path()), Path::new("a/b"), now());
    let inode = walk.directories.last().expect("a cgroup").key.inode;
    // never walked before: found by walking
    assert_eq!(index.resolve(inode, now()).expect("a cgroup").path, "/a/b");
    assert_eq!(index.resolve(u64::MAX, now()), None);
    fs::remove_dir(directory.path().join("a/b")).expect("an empty directory");
    let soon = now().plus(Duration::from_mins(1));
    index.update(&CgroupWalk::run(&unified(directory.path()), Path::new(""), soon), soon);
    assert_eq!(index.resolve(inode, soon).expect("remembered").path, "/a/b");
    let late = now().plus(CgroupIndex::MEMORY).plus(Duration::from_secs(1));
    index.update(&CgroupWalk::run(&unified(directory.path()), Path::new(""), late), late);
    assert_eq!(index.resolve(inode, late), None);
}
