//! Any text as a configuration file: it is taken or refused with a line that it has, and its quantities are written as they are read.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the modules are those of the daemon, of which this needs a part")]

#[path = "../../leakwatch/src/size_text.rs"]
mod size_text;
#[path = "."]
mod config {
    #[path = "../../leakwatch/src/config/environment.rs"]
    pub mod environment;
    #[path = "../../leakwatch/src/config/error.rs"]
    pub mod error;
    #[path = "../../leakwatch/src/config/exclude.rs"]
    pub mod exclude;
    #[path = "../../leakwatch/src/config/file.rs"]
    pub mod file;
    #[path = "../../leakwatch/src/config/key.rs"]
    pub mod key;
    #[path = "../../leakwatch/src/config/origin.rs"]
    pub mod origin;
    #[path = "../../leakwatch/src/config/settings.rs"]
    pub mod settings;
    #[path = "../../leakwatch/src/config/token.rs"]
    pub mod token;

    pub use settings::Config;
    pub use settings::CpuBudget;
}

use config::Config;
use config::environment::Environment;
use config::origin::Origin;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    quantities(&text);
    let Ok(found) = config::file::parse(Path::new("file"), &text) else { return };
    let lines = text.lines().count();
    let mut config = Config::defaults(&Environment::default());
    for (name, value, origin) in &found.settings {
        let Origin::File { line, .. } = origin else { panic!("{origin:?}") };
        assert!(*line <= lines + 1);
        let key = config::key::find(name).expect("what is no key is refused");
        drop((key.set)(&mut config, value));
        drop((key.show)(&config));
    }
});

/// As in the file, and in the queries of the API.
fn quantities(text: &str) {
    if let Ok(bytes) = size_text::parse_size(text) {
        assert_eq!(size_text::parse_size(&size_text::format_size(bytes)).ok(), Some(bytes), "{text}");
    }
    if let Ok(duration) = size_text::parse_duration(text) {
        let written = size_text::format_duration(duration);
        assert_eq!(size_text::parse_duration(&written).ok(), Some(duration), "{text}: {written}");
    }
}
