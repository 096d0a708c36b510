//! Paths as the engines, the kubelet and systemd write them.

use super::*;
use ContainerRuntime::Containerd;
use ContainerRuntime::CriO;
use ContainerRuntime::Docker;
use ContainerRuntime::Podman;

const ID: &str = "3f1c0de5a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c";
const OUTER: &str = "00000000000000000000000000000000000000000000000000000000000000aa";
const UID: &str = "0f2a9cc5-2a6f-4f4e-9d3c-6c1b2a3d4e5f";
const ESCAPED: &str = "0f2a9cc5_2a6f_4f4e_9d3c_6c1b2a3d4e5f";
const STATIC_POD: &str = "2c48913c4cb10a6d5ec8a5a5eb7a1b1c";

fn expand(path: &str) -> String {
    path.replace("UID", UID)
        .replace("ID", ID)
        .replace("OUTER", OUTER)
        .replace("ESC", ESCAPED)
        .replace("STATIC", STATIC_POD)
}

/// Path, engine, pod uid, name.
type Row = (&'static str, Option<ContainerRuntime>, Option<&'static str>, String);

fn short() -> String {
    ID.chars().take(SHORT_ID).collect()
}

fn with_inner(inner: &str) -> String {
    format!("{}/{inner}", short())
}

fn check(rows: Vec<Row>) {
    for (path, runtime, pod, name) in rows {
        let recognised = recognise(&expand(path));
        assert_eq!(recognised.kind, TargetKind::Container, "{path}");
        let container = recognised.container.expect("a container");
        let id = if path.ends_with("my-container") {
            "my-container"
        } else {
            ID
        };
        assert_eq!(container.id, id, "{path}");
        assert_eq!(container.runtime, runtime, "{path}");
        assert_eq!(container.pod_uid.as_deref(), pod, "{path}");
        assert_eq!(recognised.name, name, "{path}");
    }
}

#[test]
fn containers_of_pods() {
    check(vec![
        // containerd under the kubelet
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podESC.slice/cri-containerd-ID.scope",
            Some(Containerd),
            Some(UID),
            short(),
        ),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podESC.slice/cri-containerd-ID.scope",
            Some(Containerd),
            Some(UID),
            short(),
        ),
        (
            "/kubepods.slice/kubepods-podESC.slice/cri-containerd-ID.scope",
            Some(Containerd),
            Some(UID),
            short(),
        ),
        ("/kubepods/burstable/podUID/ID", Some(Containerd), Some(UID), short()),
        ("/kubepods/besteffort/podUID/ID", Some(Containerd), Some(UID), short()),
        ("/kubepods/podUID/ID", Some(Containerd), Some(UID), short()),
        (
            "/kubepods/besteffort/podSTATIC/ID",
            Some(Containerd),
            Some(STATIC_POD),
            short(),
        ),
        (
            "/kubepods/besteffort/podUID/my-container",
            Some(Containerd),
            Some(UID),
            "my-container".to_owned(),
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSTATIC.slice/cri-containerd-ID.scope",
            Some(Containerd),
            Some(STATIC_POD),
            short(),
        ),
        (
            "/system.slice/containerd.service/kubepods-burstable-podESC.slice:cri-containerd:ID",
            Some(Containerd),
            Some(UID),
            short(),
        ),
        // the same with a kubelet that has a cgroup root of its own, and kind: a node that is a container itself
        (
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podESC.slice/cri-containerd-ID.scope",
            Some(Containerd),
            Some(UID),
            short(),
        ),
        (
            "/docker/OUTER/kubelet/kubepods/burstable/podUID/ID",
            Some(Containerd),
            Some(UID),
            short(),
        ),
        // CRI-O
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podESC.slice/crio-ID.scope",
            Some(CriO),
            Some(UID),
            short(),
        ),
        (
            "/kubepods.slice/kubepods-podESC.slice/crio-ID.scope/container",
            Some(CriO),
            Some(UID),
            short(),
        ),
        ("/kubepods/burstable/podUID/crio-ID", Some(CriO), Some(UID), short()),
    ]);
}

#[test]
fn containers_without_pods() {
    check(vec![
        // Docker
        ("/docker/ID", Some(Docker), None, short()),
        ("/system.slice/docker-ID.scope", Some(Docker), None, short()),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
            Some(Docker),
            None,
            short(),
        ),
        ("/docker/OUTER/docker/ID", Some(Docker), None, short()),
        ("/docker/ID/init.scope", Some(Docker), None, with_inner("init.scope")),
        (
            "/system.slice/docker-ID.scope/system.slice/nginx.service",
            Some(Docker),
            None,
            with_inner("system.slice/nginx.service"),
        ),
        (
            "/kubepods/besteffort/podUID/docker-ID.scope",
            Some(Docker),
            Some(UID),
            short(),
        ),
        // Podman
        ("/libpod_parent/libpod-ID", Some(Podman), None, short()),
        ("/machine.slice/libpod-ID.scope", Some(Podman), None, short()),
        ("/machine.slice/libpod-ID.scope/container", Some(Podman), None, short()),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            Some(Podman),
            None,
            short(),
        ),
        (
            "/machine.slice/machine-libpod_pod_OUTER.slice/libpod-ID.scope",
            Some(Podman),
            None,
            short(),
        ),
        ("/libpod_parent/OUTER/libpod-ID", Some(Podman), None, short()),
        // nerdctl and engines that leave no name
        ("/system.slice/nerdctl-ID.scope", Some(Containerd), None, short()),
        ("/default/ID", None, None, short()),
        ("/ecs/9a1b2c3d/ID", None, None, short()),
        ("/my-parent/ID", None, None, short()),
    ]);
}

#[test]
fn units_of_systemd() {
    for (path, name, unit) in [
        ("/system.slice/nginx.service", "nginx.service", "nginx"),
        ("/system.slice/worker@1.service", "worker@1.service", "worker"),
        (
            "/system.slice/system-worker.slice/worker@a-b.service",
            "worker@a-b.service",
            "worker",
        ),
        (
            "/system.slice/foo.service/payload",
            "foo.service/payload",
            "foo/payload",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service",
            "sync.service",
            "sync",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/init.scope",
            "user@1000.service",
            "user",
        ),
        ("/system.slice/docker.service", "docker.service", "docker"),
        ("/system.slice/containerd.service", "containerd.service", "containerd"),
        (
            "/machine.slice/systemd-nspawn@box.service/payload",
            "systemd-nspawn@box.service/payload",
            "systemd-nspawn/payload",
        ),
        (
            "/system.slice/dbus-:1.2-org.example@0.service",
            "dbus-:1.2-org.example@0.service",
            "dbus-:1.2-org.example",
        ),
        (
            "/azure.slice/walinuxagent.service",
            "walinuxagent.service",
            "walinuxagent",
        ),
    ] {
        let recognised = recognise(path);
        assert_eq!(recognised.kind, TargetKind::Service, "{path}");
        assert_eq!(recognised.name, name, "{path}");
        assert_eq!(recognised.unit.as_deref(), Some(unit), "{path}");
        assert_eq!(recognised.container, None, "{path}");
    }
}

#[test]
fn everything_else_is_a_plain_cgroup() {
    for (path, name) in [
        ("/", "/"),
        ("/init.scope", "init.scope"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-4711.scope",
            "app-gnome-firefox-4711.scope",
        ),
        ("/machine.slice/libpod-conmon-ID.scope", "libpod-conmon-ID.scope"),
        ("/libpod_parent/conmon", "conmon"),
        ("/kubepods/podUID/crio-conmon-ID", "crio-conmon-ID"),
        (
            "/kubepods.slice/kubepods-podESC.slice/crio-conmon-ID.scope",
            "crio-conmon-ID.scope",
        ),
        ("/kubepods.slice/kubepods-podESC.slice", "kubepods-podESC.slice"),
        ("/kubepods/burstable", "burstable"),
        ("/docker/buildkit/c0ffee1x2y3z", "c0ffee1x2y3z"),
        ("/system.slice/docker-short.scope", "docker-short.scope"),
        ("/podcast/mixer", "mixer"),
        (
            "/jobs/b2e00a9bc58dc1b958b6cb197113ac84",
            "b2e00a9bc58dc1b958b6cb197113ac84",
        ),
        ("/lxc.payload.box", "lxc.payload.box"),
        ("/system.slice/.service", ".service"),
        ("/a:b:c", "a:b:c"),
    ] {
        let recognised = recognise(&expand(path));
        assert_eq!(recognised.kind, TargetKind::Cgroup, "{path}");
        assert_eq!(recognised.name, expand(name), "{path}");
        assert_eq!(recognised.unit, None, "{path}");
        assert_eq!(recognised.container, None, "{path}");
    }
}

#[test]
fn a_unit_inside_a_container_names_the_service() {
    let recognised = recognise(&expand("/docker/ID/system.slice/worker@2.service"));
    assert_eq!(recognised.unit.as_deref(), Some("worker"));
    assert_eq!(recognised.container.expect("a container").id, ID);
}

proptest::proptest! {
    #[test]
    fn any_path_is_recognised_as_something(path in "(/[a-z0-9.:@_é-]{0,80}){0,8}") {
        let recognised = recognise(&path);
        assert_eq!(recognised.kind == TargetKind::Container, recognised.container.is_some());
        assert!(!recognised.name.is_empty());
    }
}
