//! What an interpreter runs: the script, module, jar or main class on its command line, and the bound of the heap that is set there or in the environment.
//!
//! Of a command line and an environment nothing else is kept: they may hold secrets. The forms are those of `python(1)`, `node(1)`, `java(1)`, `ruby(1)`, `perl(1)`,
//! `php(1)` and `dotnet(1)`.

use leakwatch_analysis::model::runtime::ManagedRuntime;
use leakwatch_analysis::model::runtime::ManagedRuntimeName;
use leakwatch_analysis::model::units::Bytes;

/// Characters of a name at most.
const MOST_NAME: usize = 64;

/// What an interpreter runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreted {
    /// The runtime with a heap of its own, where it is one that is known here.
    pub runtime: Option<ManagedRuntime>,
    /// Name of the program; none for code on the command line, or where the name says nothing (`/app/main.py`).
    pub program: Option<String>,
}

/// How the command line of an interpreter is read.
struct Language {
    runtime: Option<ManagedRuntimeName>,
    /// Options whose value is the next argument.
    with_value: &'static [&'static str],
    /// Options that are followed by code.
    code: &'static [&'static str],
    /// Letters of options can be joined (`-um module`).
    joined: bool,
}

const PYTHON: Language = Language {
    runtime: Some(ManagedRuntimeName::Python),
    with_value: &["-W", "-X", "--check-hash-based-pycs"],
    code: &["-c"],
    joined: true,
};
const NODE: Language = Language {
    runtime: Some(ManagedRuntimeName::Node),
    with_value: &[
        "-r",
        "--require",
        "--import",
        "--loader",
        "--experimental-loader",
        "-C",
        "--conditions",
    ],
    code: &["-e", "--eval", "-p", "--print", "-pe"],
    joined: false,
};
const JAVA: Language = Language {
    runtime: Some(ManagedRuntimeName::Jvm),
    with_value: &[
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--upgrade-module-path",
        "--add-modules",
        "--add-opens",
        "--add-exports",
        "--add-reads",
        "--limit-modules",
        "--patch-module",
        "--enable-native-access",
        "--source",
    ],
    code: &[],
    joined: false,
};
const RUBY: Language = Language {
    runtime: None,
    with_value: &["-I", "-r", "-C", "-E"],
    code: &["-e"],
    joined: false,
};
const PERL: Language = Language {
    runtime: None,
    with_value: &["-I"],
    code: &["-e", "-E"],
    joined: false,
};
const PHP: Language = Language {
    runtime: None,
    with_value: &["-c", "-d", "-z"],
    code: &["-r", "-R", "-B", "-E"],
    joined: false,
};
const DOTNET: Language = Language {
    runtime: None,
    with_value: &[
        "--additionalprobingpath",
        "--depsfile",
        "--runtimeconfig",
        "--fx-version",
        "--roll-forward",
    ],
    code: &[],
    joined: false,
};

/// Executables by name, without the version at the end.
const INTERPRETERS: [(&str, &Language); 11] = [
    ("python", &PYTHON),
    ("pypy", &PYTHON),
    ("node", &NODE),
    ("nodejs", &NODE),
    ("java", &JAVA),
    ("ruby", &RUBY),
    ("perl", &PERL),
    ("php", &PHP),
    ("dotnet", &DOTNET),
    ("bun", &NODE),
    ("deno", &NODE),
];

/// Programs that run the application that is named after them.
const LAUNCHERS: [&str; 14] = [
    "celery",
    "daphne",
    "flask",
    "granian",
    "gunicorn",
    "hypercorn",
    "next",
    "npm-cli.js",
    "pm2",
    "pnpm",
    "puma",
    "rq",
    "uvicorn",
    "yarn.js",
];

/// Names that say nothing of the program, without their extension.
const GENERIC: [&str; 23] = [
    "__main__",
    "app",
    "application",
    "apps",
    "asgi",
    "bin",
    "build",
    "code",
    "dist",
    "home",
    "index",
    "lib",
    "main",
    "manage",
    "opt",
    "run",
    "server",
    "src",
    "srv",
    "start",
    "usr",
    "workspace",
    "wsgi",
];

/// Main classes that load the application: those of Spring Boot's archives and of Tomcat.
const GENERIC_CLASSES: [&str; 4] = ["Bootstrap", "JarLauncher", "PropertiesLauncher", "WarLauncher"];

/// What the executable `exe` runs by its command line (`/proc/PID/cmdline`: arguments that end with a zero byte); none if it is no interpreter.
pub fn interpreted(exe: &str, command_line: &[u8]) -> Option<Interpreted> {
    let name = base_name(exe);
    let stem = name.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
    let (_, language) = INTERPRETERS.iter().find(|(interpreter, _)| *interpreter == stem)?;
    let text = String::from_utf8_lossy(command_line);
    let arguments: Vec<&str> = text.split_terminator('\0').collect();
    let version = name.get(stem.len()..).filter(|version| !version.is_empty());
    let runtime = language.runtime.map(|runtime| ManagedRuntime {
        name: runtime,
        version: version.map(ToOwned::to_owned),
        most_heap: most_heap(runtime, arguments.iter().copied()),
        most_heap_percent: most_heap_percent(runtime, arguments.iter().copied()),
    });
    // A text that was cut off, or written over by a title, names nothing surely.
    let whole = command_line.ends_with(&[0]);
    let is_title = arguments.first().is_some_and(|first| first.contains(' '));
    let program = (whole && !is_title)
        .then(|| program(language, arguments.get(1..).unwrap_or_default()))
        .flatten();
    Some(Interpreted { runtime, program })
}

fn program(language: &Language, arguments: &[&str]) -> Option<String> {
    let is_java = language.runtime == Some(ManagedRuntimeName::Jvm);
    let mut rest = arguments.iter();
    while let Some(&argument) = rest.next() {
        if language.code.contains(&argument) {
            return None;
        }
        if is_java {
            match argument {
                "-jar" => return rest.next().and_then(|jar| script(jar, &[])),
                "-m" | "--module" => return rest.next().and_then(|module| bounded(module)),
                _ => {}
            }
            // A file of arguments is not read.
            if argument.starts_with('@') {
                return None;
            }
        }
        if language.with_value.contains(&argument) {
            rest.next();
            continue;
        }
        let Some(option) = argument.strip_prefix('-') else {
            return if is_java {
                main_class(argument)
            } else {
                script(argument, rest.as_slice())
            };
        };
        if language.joined && !option.starts_with('-') {
            // The rest of the argument, or the next one, is the module or the code.
            if let Some(at) = option.find(['m', 'c', 'W', 'X']) {
                let value = option.get(at + 1..).filter(|value| !value.is_empty());
                match option.get(at..=at) {
                    Some("m") => {
                        let module = value.or_else(|| rest.next().copied())?;
                        return if LAUNCHERS.contains(&module) {
                            launched(module, rest.as_slice())
                        } else if module.split('.').all(is_generic) {
                            None
                        } else {
                            bounded(module)
                        };
                    }
                    Some("c") => return None,
                    _ if value.is_none() => drop(rest.next()),
                    _ => {}
                }
            }
        }
    }
    None
}

/// The name of a script, with its folder where it says nothing by itself.
fn script(path: &str, arguments: &[&str]) -> Option<String> {
    let name = base_name(path);
    if LAUNCHERS.contains(&name) {
        return launched(name, arguments);
    }
    if !is_generic(name) {
        return bounded(name);
    }
    let folder = base_name(path.strip_suffix(name)?.trim_end_matches('/'));
    if folder.is_empty() || folder == "." || folder == ".." || is_generic(folder) {
        return None;
    }
    bounded(&format!("{folder}/{name}"))
}

/// The application that a launcher runs: its first argument that looks like a name (`gunicorn shop.wsgi:application`, `celery -A shop worker`).
fn launched(name: &str, arguments: &[&str]) -> Option<String> {
    let mut rest = arguments.iter();
    while let Some(&argument) = rest.next() {
        match argument {
            "-A" | "--app" => {
                return rest
                    .next()
                    .and_then(|app| bounded(&format!("{name} {}", base_name(app))));
            }
            _ if argument.contains(':') && !argument.starts_with('-') && is_name(argument) => {
                let module = argument.split(':').next().unwrap_or(argument);
                return (!is_generic(module))
                    .then(|| bounded(&format!("{name} {argument}")))
                    .flatten();
            }
            _ => {}
        }
    }
    None
}

/// A main class that is not the same in all programs of its kind.
fn main_class(class: &str) -> Option<String> {
    let name = class.rsplit('.').next().unwrap_or(class);
    let is_shared = GENERIC_CLASSES.contains(&name) || name == class && is_generic(&class.to_ascii_lowercase());
    (!is_shared).then(|| bounded(class)).flatten()
}

/// `module:object`: an address such as `0.0.0.0:8000` is none.
fn is_name(text: &str) -> bool {
    let (module, object) = text.split_once(':').unwrap_or((text, ""));
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && word
                .chars()
                .all(|character| character.is_alphanumeric() || matches!(character, '_' | '.' | '(' | ')'))
    };
    is_word(module) && is_word(object)
}

fn is_generic(name: &str) -> bool {
    GENERIC.contains(&name.split('.').next().unwrap_or(name))
}

/// Variables in which a runtime finds options, those that win first; whether they win over the command line. Sources: `java(1)`
/// (`JDK_JAVA_OPTIONS`), the JVM Tool Interface (`JAVA_TOOL_OPTIONS`; `_JAVA_OPTIONS` is taken last), the documentation of Node.js.
const OPTIONS: [(ManagedRuntimeName, &str, bool); 4] = [
    (ManagedRuntimeName::Jvm, "_JAVA_OPTIONS", true),
    (ManagedRuntimeName::Jvm, "JDK_JAVA_OPTIONS", false),
    (ManagedRuntimeName::Jvm, "JAVA_TOOL_OPTIONS", false),
    (ManagedRuntimeName::Node, "NODE_OPTIONS", false),
];

/// Adds the bound of the heap that the environment sets (`/proc/PID/environ`), of which nothing else is kept.
pub fn bound_by_environment(managed: &mut ManagedRuntime, environment: &[u8]) {
    let text = String::from_utf8_lossy(environment);
    let value = |name: &str| {
        let mut variables = text
            .split_terminator('\0')
            .filter_map(|variable| variable.split_once('='));
        variables.find_map(|(variable, value)| (variable == name).then_some(value))
    };
    for (_, variable, wins) in OPTIONS.into_iter().filter(|(runtime, ..)| *runtime == managed.name) {
        let Some(options) = value(variable) else { continue };
        let bytes = most_heap(managed.name, options.split_whitespace());
        let percent = most_heap_percent(managed.name, options.split_whitespace());
        let is_bound = managed.most_heap.is_some() || managed.most_heap_percent.is_some();
        if (bytes.is_some() || percent.is_some()) && (wins || !is_bound) {
            (managed.most_heap, managed.most_heap_percent) = (bytes, percent);
            return;
        }
    }
}

/// The bound of the heap that options set; the last one counts.
fn most_heap<'a>(runtime: ManagedRuntimeName, options: impl DoubleEndedIterator<Item = &'a str>) -> Option<Bytes> {
    let mebibytes = |text: &str| text.parse::<u64>().ok()?.checked_mul(1 << 20).map(Bytes);
    options.rev().find_map(|option| match runtime {
        ManagedRuntimeName::Jvm => option
            .strip_prefix("-Xmx")
            .or_else(|| option.strip_prefix("-XX:MaxHeapSize="))
            .and_then(java_size),
        ManagedRuntimeName::Node => option
            .strip_prefix("--max-old-space-size=")
            .or_else(|| option.strip_prefix("--max_old_space_size="))
            .and_then(mebibytes),
        ManagedRuntimeName::Python => None,
    })
}

/// The same in percent of memory. `-Xmx` wins over it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and 100"
)]
fn most_heap_percent<'a>(runtime: ManagedRuntimeName, options: impl DoubleEndedIterator<Item = &'a str>) -> Option<u8> {
    let mut options = options.rev().filter(|_| runtime == ManagedRuntimeName::Jvm);
    let percent: f64 = options.find_map(|option| option.strip_prefix("-XX:MaxRAMPercentage=")?.parse().ok())?;
    (1.0..=100.0).contains(&percent).then_some(percent as u8)
}

/// The version in a file that is installed with a runtime: `release` of a JDK, `node_version.h` of Node.js.
pub fn version_in(runtime: ManagedRuntimeName, text: &str) -> Option<String> {
    let is_version = |text: &str| {
        let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '+' | '-');
        text.starts_with(|first: char| first.is_ascii_digit()) && text.len() <= MOST_NAME && text.chars().all(is_part)
    };
    match runtime {
        ManagedRuntimeName::Jvm => {
            let line = text.lines().find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
            let version = line.trim().trim_matches('"');
            is_version(version).then(|| version.to_owned())
        }
        ManagedRuntimeName::Node => {
            let part = |name: &str| {
                let lines = text.lines().filter_map(|line| line.strip_prefix("#define "));
                let mut values = lines.filter_map(|line| line.strip_prefix(name)?.trim().parse::<u32>().ok());
                values.next()
            };
            let [major, minor, patch] = ["NODE_MAJOR_VERSION ", "NODE_MINOR_VERSION ", "NODE_PATCH_VERSION "].map(part);
            Some(format!("{}.{}.{}", major?, minor?, patch?))
        }
        ManagedRuntimeName::Python => None,
    }
}

/// Where such a file is, relative to the directory of the executable, in the order to look.
pub const fn version_files(runtime: ManagedRuntimeName) -> &'static [&'static str] {
    match runtime {
        // The second of Java 8, whose `java` is in `jre/bin`.
        ManagedRuntimeName::Jvm => &["../release", "../../release"],
        ManagedRuntimeName::Node => &["../include/node/node_version.h"],
        ManagedRuntimeName::Python => &[],
    }
}

/// `512m`, `2G`, bytes without a letter (`java(1)`, `-Xmx`).
fn java_size(text: &str) -> Option<Bytes> {
    let (digits, shift) = match text.strip_suffix(|last: char| last.is_ascii_alphabetic()) {
        Some(digits) => match text.as_bytes().last()?.to_ascii_lowercase() {
            b'k' => (digits, 10),
            b'm' => (digits, 20),
            b'g' => (digits, 30),
            b't' => (digits, 40),
            _ => return None,
        },
        None => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift).map(Bytes)
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A name short enough to be shown, without what could control a terminal.
fn bounded(name: &str) -> Option<String> {
    let name: String = name
        .chars()
        .filter(|character| !character.is_control())
        .take(MOST_NAME)
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests;
