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
