//! Opening what others have named: regular files for reading, and nothing else. A pipe would wait for a writer, a device may do something when it is
//! opened, and a link may lead out of the root that the name was meant in.

use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::fstat;
use rustix::fs::openat;
use rustix::fs::openat2;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Opens a path of ours: in `/proc/PID`, whose links lead to the very files.
pub fn open(path: &Path) -> io::Result<File> {
    reopened(&openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// A root that names are resolved in.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// That of a process.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        Self::at(Path::new(&format!("/proc/{pid}/root")))
    }

    /// Any directory.
    pub fn at(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, directory, flags, Mode::empty())?))
    }

    /// Opens a file in it, wherever links lead: an absolute one, and `..`, stay in the root. An empty file, as all of `/proc` are, is none, nor is one
    /// larger than `most` bytes.
    pub fn open(&self, path: &Path, most: u64) -> io::Result<File> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let found = openat2(&self.0, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        let file = reopened(&found)?;
        let length = file.metadata()?.len();
        if length == 0 || length > most {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{length} bytes, of at most {most}"),
            ));
        }
        Ok(file)
    }
}

/// What was found is looked at before it is opened, and it is what was looked at that is opened.
fn reopened(found: &OwnedFd) -> io::Result<File> {
    if FileType::from_raw_mode(fstat(found)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mknodat;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_stay_in_their_root_and_only_files_are_opened() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("dir")).unwrap();
        fs::write(outside.path().join("secret"), "outside").unwrap();
        fs::write(root.join("secret"), "inside").unwrap();
        fs::write(root.join("empty"), "").unwrap();
        File::create(root.join("sparse")).unwrap().set_len(10 << 30).unwrap();
        mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        for (name, to) in [
            ("up", "../../../secret"),
            ("absolute", "/secret"),
            ("dir/relative", "../secret"),
            ("device", "/dev/zero"),
            ("itself", "itself"),
            ("magic", "/proc/self/exe"),
        ] {
            symlink(to, root.join(name)).unwrap();
        }
        let at = Root::at(&root).unwrap();
        let read = |name: &str| {
            let file = at.open(Path::new(name), 1 << 20)?;
            io::read_to_string(file)
        };
        for name in ["secret", "/secret", "../secret", "up", "absolute", "dir/relative"] {
            assert_eq!(read(name).unwrap(), "inside", "{name}");
        }
        for name in ["empty", "sparse", "fifo", "device", "itself", "magic", "dir", "absent"] {
            read(name).unwrap_err();
        }
        assert_eq!(open(&root.join("secret")).unwrap().metadata().unwrap().len(), 6);
        for name in ["fifo", "dir"] {
            open(&root.join(name)).unwrap_err();
        }
        open(Path::new("/dev/null")).unwrap_err();
    }
}
