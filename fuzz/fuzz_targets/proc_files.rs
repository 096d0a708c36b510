//! Any bytes as the files of `/proc/PID` that a library reads for us. The kernel writes them, and names that a process chooses are in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procfs::FromBufRead as _;
use procfs::FromBufReadSI as _;
use procfs::FromRead as _;
use procfs::net::TcpNetEntries;
use procfs::process::MemoryMaps;
use procfs::process::MountInfos;
use procfs::process::Stat;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(maps) = MemoryMaps::from_buf_read(bytes) {
        assert!(maps.0.len() <= bytes.len());
    }
    drop(Stat::from_read(bytes));
    drop(MountInfos::from_buf_read(bytes));
    drop(TcpNetEntries::from_buf_read(bytes, procfs::current_system_info()));
});
