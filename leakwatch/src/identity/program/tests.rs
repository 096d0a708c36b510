//! Command lines of programs as they are run, and what they are called.

use super::*;
use proptest::prelude::*;

fn run(exe: &str, arguments: &[&str]) -> Option<Interpreted> {
    let mut line = Vec::new();
    for argument in arguments {
        line.extend_from_slice(argument.as_bytes());
        line.push(0);
    }
    interpreted(exe, &line)
}

#[test]
fn programs_are_named_by_what_is_run() {
    let (long, cut) = ("x".repeat(300), "x".repeat(MOST_NAME));
    for (arguments, program) in [
        (
            &["/usr/bin/python3.11", "/srv/shop/orders.py", "--token", "secret"][..],
            Some("orders.py"),
        ),
        (
            &["/usr/bin/python3.11", "-u", "-W", "ignore", "/srv/shop/main.py"],
            Some("shop/main.py"),
        ),
        (&["/usr/bin/python3.11", "/app/main.py"], None),
        (&["/usr/bin/python3.11", "main.py"], None),
        (&["/usr/bin/python3.11", "-m", "shop.orders"], Some("shop.orders")),
        (&["/usr/bin/python3.11", "-Ium", "shop"], Some("shop")),
        (&["/usr/bin/python3.11", "-c", "import shop"], None),
        (&["/usr/bin/python3.11", "-Xdev", "-Bc", "pass"], None),
        (
            &[
                "/usr/bin/python3.11",
                "/usr/local/bin/gunicorn",
                "-b",
                "0.0.0.0:80",
                "shop.wsgi:application",
            ],
            Some("gunicorn shop.wsgi:application"),
        ),
        (
            &["/usr/bin/python3.11", "-m", "uvicorn", "--port", "80", "shop:app"],
            Some("uvicorn shop:app"),
        ),
        (&["/usr/bin/python3.11", "/usr/local/bin/gunicorn", "app:app"], None),
        (&["/usr/bin/python3.11", "-m", "app.main"], None),
        (&["/usr/bin/python3.11", "-m", "src.orders"], Some("src.orders")),
        (
            &["/usr/bin/python3.11", "/usr/local/bin/celery", "-A", "shop", "worker"],
            Some("celery shop"),
        ),
        (&["gunicorn: master [shop]"], None),
        (&["/usr/bin/python3.11"], None),
        (
            &[
                "/usr/bin/node",
                "--max-old-space-size=512",
                "-r",
                "dotenv/config",
                "orders.js",
            ],
            Some("orders.js"),
        ),
        (&["/usr/bin/node", "/app/index.js"], None),
        (&["/usr/bin/node", "/srv/shop/dist/index.js"], None),
        (&["/usr/bin/node", "/srv/shop/index.js"], Some("shop/index.js")),
        (&["/usr/bin/node", "-e", "1"], None),
        (
            &[
                "/usr/bin/java",
                "-Xmx2g",
                "-jar",
                "/opt/orders-1.2.jar",
                "--password=secret",
            ],
            Some("orders-1.2.jar"),
        ),
        (
            &[
                "/usr/bin/java",
                "-cp",
                "/opt/lib/*",
                "-Dkey=secret",
                "com.example.Orders",
                "run",
            ],
            Some("com.example.Orders"),
        ),
        (
            &[
                "/usr/bin/java",
                "--module-path",
                "mods",
                "-m",
                "shop/com.example.Orders",
            ],
            Some("shop/com.example.Orders"),
        ),
        (&["/usr/bin/java", "@arguments"], None),
        (&["/usr/bin/java", "Main"], None),
        (
            &[
                "/usr/bin/java",
                "-cp",
                "/app",
                "org.springframework.boot.loader.launch.JarLauncher",
            ],
            None,
        ),
        (&["/usr/bin/java", "-jar", "/app/app.jar"], None),
        (&["/usr/bin/ruby3.1", "-I", "lib", "orders.rb"], Some("orders.rb")),
        (&["/usr/bin/perl", "-e", "1"], None),
        (&["/usr/bin/dotnet", "/srv/Orders.dll"], Some("Orders.dll")),
        (&["/usr/bin/ruby", &long], Some(&cut)),
        (&["/usr/bin/ruby", "/srv/\u{1b}[31mred.rb"], Some("[31mred.rb")),
    ] {
        let exe = if arguments[0].starts_with('/') {
            arguments[0]
        } else {
            "/usr/bin/python3"
        };
        let found = run(exe, arguments).expect("an interpreter");
        assert_eq!(found.program.as_deref(), program, "{arguments:?}");
    }
}

#[test]
fn others_are_no_interpreters() {
    for exe in ["/app/shop", "/usr/sbin/php-fpm8.2", "/usr/bin/pythonista", "", "/"] {
        assert_eq!(run(exe, &[exe, "main.py"]), None, "{exe}");
    }
}

#[test]
fn runtimes_and_their_bounds_are_known() {
    let managed = |name, version: Option<&str>, most_heap| ManagedRuntime {
        name,
        version: version.map(ToOwned::to_owned),
        most_heap,
        most_heap_percent: None,
    };
    for (arguments, runtime) in [
        (
            &["/usr/bin/python3.11", "a.py"][..],
            Some(managed(ManagedRuntimeName::Python, Some("3.11"), None)),
        ),
        (
            &["/opt/jdk/bin/java", "-Xmx512m", "A"],
            Some(managed(ManagedRuntimeName::Jvm, None, Some(Bytes(512 << 20)))),
        ),
        (
            &["/opt/jdk/bin/java", "-Xmx1g", "-XX:MaxHeapSize=2G", "A"],
            Some(managed(ManagedRuntimeName::Jvm, None, Some(Bytes(2 << 30)))),
        ),
        (
            &["/opt/jdk/bin/java", "-Xmx99999999999999g", "A"],
            Some(managed(ManagedRuntimeName::Jvm, None, None)),
        ),
        (
            &["/usr/bin/node", "--max-old-space-size=100", "a.js"],
            Some(managed(ManagedRuntimeName::Node, None, Some(Bytes(100 << 20)))),
        ),
        (&["/usr/bin/ruby", "a.rb"], None),
    ] {
        let found = run(arguments[0], arguments).expect("an interpreter");
        assert_eq!(found.runtime, runtime, "{arguments:?}");
    }
}

#[test]
fn the_environment_bounds_a_heap_where_the_command_line_does_not() {
    let mib = |amount: u64| Some(Bytes(amount << 20));
    for (arguments, environment, expected) in [
        (
            &["java", "A"][..],
            "PATH=/bin\0JAVA_TOOL_OPTIONS=-Dsecret=x -Xmx300m\0",
            (mib(300), None),
        ),
        (
            &["java", "A"],
            "JAVA_TOOL_OPTIONS=-XX:MaxRAMPercentage=75.0\0",
            (None, Some(75)),
        ),
        (
            &["java", "-Xmx100m", "A"],
            "JAVA_TOOL_OPTIONS=-Xmx300m\0JDK_JAVA_OPTIONS=-Xmx200m\0",
            (mib(100), None),
        ),
        (
            &["java", "A"],
            "JAVA_TOOL_OPTIONS=-Xmx300m\0JDK_JAVA_OPTIONS=-Xmx200m\0",
            (mib(200), None),
        ),
        (&["java", "-Xmx100m", "A"], "_JAVA_OPTIONS=-Xmx400m\0", (mib(400), None)),
        (&["java", "-XX:MaxRAMPercentage=50", "A"], "", (None, Some(50))),
        (
            &["java", "-XX:MaxRAMPercentage=nan", "A"],
            "MY_JAVA_TOOL_OPTIONS=-Xmx1m\0",
            (None, None),
        ),
        (
            &["node", "a.js"],
            "NODE_OPTIONS=--inspect --max-old-space-size=150\0JAVA_TOOL_OPTIONS=-Xmx1m",
            (mib(150), None),
        ),
        (
            &["node", "--max-old-space-size=100", "a.js"],
            "NODE_OPTIONS=--max-old-space-size=150\0",
            (mib(100), None),
        ),
        (
            &["python3", "a.py"],
            "NODE_OPTIONS=--max-old-space-size=150\0",
            (None, None),
        ),
    ] {
        let mut managed = run(arguments[0], arguments)
            .expect("an interpreter")
            .runtime
            .expect("managed");
        bound_by_environment(&mut managed, environment.as_bytes());
        let found = (managed.most_heap, managed.most_heap_percent);
        assert_eq!(found, expected, "{arguments:?} {environment:?}");
    }
}

#[test]
fn the_version_is_in_a_file_beside_the_runtime() {
    let node =
        "#ifndef A\n#define NODE_MAJOR_VERSION 18\n#define NODE_MINOR_VERSION 20\n#define NODE_PATCH_VERSION 4\n";
    for (runtime, text, version) in [
        (
            ManagedRuntimeName::Jvm,
            "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"17.0.15\"\n",
            Some("17.0.15"),
        ),
        (ManagedRuntimeName::Jvm, "JAVA_VERSION=\"1.8.0_442\"", Some("1.8.0_442")),
        (ManagedRuntimeName::Jvm, "JAVA_VERSION=\"\u{1b}[31m\"", None),
        (ManagedRuntimeName::Jvm, "", None),
        (ManagedRuntimeName::Node, node, Some("18.20.4")),
        (ManagedRuntimeName::Node, "#define NODE_MAJOR_VERSION 18", None),
        (ManagedRuntimeName::Python, node, None),
    ] {
        assert_eq!(version_in(runtime, text).as_deref(), version, "{text:?}");
    }
}

#[test]
fn a_command_line_that_was_cut_off_names_nothing() {
    assert_eq!(
        interpreted("/usr/bin/python3", b"python3\0/srv/orde")
            .expect("python")
            .program,
        None
    );
}

proptest! {
    #[test]
    fn no_command_line_panics(line in proptest::collection::vec(any::<u8>(), 0..200), exe in "(python3|java|node|ruby)") {
        let found = interpreted(&exe, &line).expect("an interpreter");
        prop_assert!(found.program.is_none_or(|program| program.chars().count() <= MOST_NAME && !program.contains(char::is_control)));
    }
}
