//! Which service a target is a replica of.
//!
//! In this order: the systemd unit the path names (instances of a template are replicas), the executable of the main
//! process or what it runs if it is an interpreter, the target's own name. Labels and image names are not in the cgroup, so replicas of a Kubernetes or Docker
//! service are recognised by the program they run.
//!
//! The main process is the oldest one that is not merely a wrapper around the program: shells, init stand-ins and
//! supervisors start first and stay, but their child is what a person calls the service.

use super::container::Recognised;

/// Programs that only start another: shells, the init stand-ins of container images, privilege droppers, supervisors, and what a shell waits
/// with.
const WRAPPERS: [&str; 25] = [
    "ash",
    "bash",
    "busybox",
    "catatonit",
    "conmon",
    "dash",
    "docker-init",
    "dumb-init",
    "env",
    "gosu",
    "ksh",
    "nice",
    "nohup",
    "runsv",
    "runsvdir",
    "s6-supervise",
    "s6-svscan",
    "setpriv",
    "sh",
    "sleep",
    "su",
    "sudo",
    "timeout",
    "tini",
    "zsh",
];

/// A process as far as the choice of the main process needs it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// `/proc/PID/stat` field 22.
    pub start_ticks: u64,
    /// Breaks ties of processes started in the same tick.
    pub pid: u32,
    /// Path of the executable.
    pub exe: &'a str,
    /// What a person calls the program.
    pub program: Program<'a>,
}

/// What a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program<'a> {
    /// Its executable.
    Executable,
    /// What an interpreter runs; none if its name is not known: two interpreters are no replicas.
    Interpreted(Option<&'a str>),
}

/// Name of the service of a target that had the name `known`, which stays between two lives of its program, while only what starts it again lives.
pub fn name<'a>(
    recognised: &Recognised,
    processes: impl Iterator<Item = Candidate<'a>> + Clone,
    known: Option<&str>,
) -> String {
    if let Some(unit) = &recognised.unit {
        return unit.clone();
    }
    if let Some(known) = known
        && processes.clone().all(|process| is_wrapper(base_name(process.exe)))
    {
        return known.to_owned();
    }
    processes
        .map(|process| (base_name(process.exe), process))
        .filter(|(name, _)| !name.is_empty())
        .min_by_key(|(name, process)| (is_wrapper(name), process.start_ticks, process.pid))
        .and_then(|(name, process)| match process.program {
            // A file in memory has whatever name its maker gave it, often one for all (`memfd_create(2)`).
            Program::Executable => (!process.exe.starts_with("/memfd:")).then_some(name),
            Program::Interpreted(program) => program,
        })
        .map_or_else(|| recognised.name.clone(), ToOwned::to_owned)
}

fn base_name(exe: &str) -> &str {
    exe.rsplit('/').next().unwrap_or(exe)
}

fn is_wrapper(name: &str) -> bool {
    WRAPPERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::container::recognise;

    fn candidate(start_ticks: u64, pid: u32, exe: &str) -> Candidate<'_> {
        Candidate {
            start_ticks,
            pid,
            exe,
            program: Program::Executable,
        }
    }

    fn interpreted<'a>(exe: &'a str, program: Option<&'a str>) -> Candidate<'a> {
        Candidate {
            program: Program::Interpreted(program),
            ..candidate(20, 7, exe)
        }
    }

    #[test]
    fn a_service_is_its_unit_else_its_main_program() {
        let shop = candidate(20, 7, "/app/shop");
        let helper = candidate(30, 9, "/usr/bin/helper");
        let tini = candidate(10, 1, "/sbin/tini");
        for (path, processes, service) in [
            ("/system.slice/worker@1.service", vec![shop], "worker"),
            ("/a/replica-1", vec![helper, shop], "shop"),
            ("/a/replica-1", vec![tini, shop, helper], "shop"),
            ("/a/replica-1", vec![tini], "tini"),
            (
                "/a/replica-1",
                vec![interpreted("/usr/bin/python3.11", Some("orders.py"))],
                "orders.py",
            ),
            (
                "/a/replica-1",
                vec![interpreted("/usr/bin/python3.11", None)],
                "replica-1",
            ),
            ("/a/replica-1", vec![candidate(20, 7, "/memfd:program")], "replica-1"),
            ("/a/replica-1", vec![], "replica-1"),
            ("/a/replica-1", vec![candidate(20, 8, "/app/other"), shop], "shop"),
        ] {
            assert_eq!(name(&recognise(path), processes.into_iter(), None), service, "{path}");
        }
    }

    #[test]
    fn a_service_keeps_its_name_while_its_program_is_started_again() {
        let (shell, pause) = (candidate(10, 1, "/bin/sh"), candidate(30, 9, "/bin/sleep"));
        let shop = candidate(20, 7, "/app/shop");
        for (processes, known, service) in [
            (vec![shell, pause], Some("shop"), "shop"),
            (vec![shell, pause, shop], Some("other"), "shop"),
            (vec![shell, pause], None, "sh"),
        ] {
            assert_eq!(name(&recognise("/a/replica-1"), processes.into_iter(), known), service);
        }
    }

    #[test]
    fn wrappers_are_listed_once_in_order() {
        assert!(WRAPPERS.is_sorted_by(|a, b| a < b));
    }
}
