//! Puts the committed eBPF objects where the daemon embeds them. An architecture without them gets an empty placeholder, which lets
//! the daemon build all the same; it then says so in its capabilities.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

const OBJECTS: [&str; 2] = ["leakwatch-ebpf.o", "leakwatch-ebpf-native.o"];

fn main() -> Result<(), Box<dyn Error>> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let dir = Path::new(&env::var("CARGO_MANIFEST_DIR")?)
        .join("bpf-objects")
        .join(arch);
    println!("cargo::rerun-if-changed=bpf-objects");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(leakwatch_ebpf_placeholder)");
    let out = env::var("OUT_DIR")?;
    for name in OBJECTS {
        let embedded = Path::new(&out).join(name);
        let object = dir.join(name);
        if object.exists() {
            fs::copy(object, embedded)?;
        } else {
            fs::write(embedded, [])?;
        }
    }
    if !dir.join(OBJECTS[0]).exists() {
        println!("cargo::rustc-cfg=leakwatch_ebpf_placeholder");
    }
    Ok(())
}
