//! What a cgroup path tells about its cgroup: the container and its engine, the Kubernetes pod, the systemd unit.
//!
//! Pure: text in, facts out. The forms are those that the engines and systemd write today, with both of their cgroup
//! drivers:
//!
//! | engine | systemd driver | cgroupfs driver |
//! |---|---|---|
//! | containerd (CRI) | `cri-containerd-ID.scope` | `ID` below `podUID`; `SLICE:cri-containerd:ID` when the drivers of kubelet and containerd disagree |
//! | CRI-O | `crio-ID.scope` | `crio-ID` |
//! | Docker | `docker-ID.scope` | `docker/ID` |
//! | Podman | `libpod-ID.scope` | `libpod_parent/libpod-ID` |
//! | nerdctl | `nerdctl-ID.scope` | `NAMESPACE/ID` |
//!
//! The innermost container counts: in Docker-in-Docker or kind the inner one. A cgroup *inside* a container (systemd in
//! Docker, `container` of crun) is still that container: the same id, with the rest of the path appended to its name.
//! Monitors (`libpod-conmon-ID`, `crio-conmon-ID`) hold no container process and are plain cgroups.

use leakwatch_analysis::model::target::Container;
use leakwatch_analysis::model::target::ContainerRuntime;
use leakwatch_analysis::model::target::TargetKind;

/// Prefix of the last path component and the engine that writes it.
const PREFIXES: [(&str, ContainerRuntime); 5] = [
    ("cri-containerd", ContainerRuntime::Containerd),
    ("nerdctl", ContainerRuntime::Containerd),
    ("crio", ContainerRuntime::CriO),
    ("docker", ContainerRuntime::Docker),
    ("libpod", ContainerRuntime::Podman),
];

/// Digits of a container's id that people and engines show.
const SHORT_ID: usize = 12;

/// What a path tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Container, service or other.
    pub kind: TargetKind,
    /// Short human name: short container id, unit, or the last path component.
    pub name: String,
    /// Name of the service as far as the path tells: a systemd unit without its instance.
    pub unit: Option<String>,
    /// Set for containers.
    pub container: Option<Container>,
}

/// Recognises an absolute cgroup path below the root of its hierarchy.
pub fn recognise(path: &str) -> Recognised {
    let components: Vec<&str> = path.split('/').filter(|component| !component.is_empty()).collect();
    let container = (0..components.len())
        .rev()
        .find_map(|index| container_at(&components, index).map(|container| (index, container)));
    if let Some((index, container)) = container {
        let inner = components.get(index + 1..).unwrap_or_default();
        let id = container.id.as_str();
        return Recognised {
            kind: TargetKind::Container,
            name: with_rest(id.get(..SHORT_ID).unwrap_or(id), inner),
            unit: unit_of(inner).map(|(_, unit)| unit),
            container: Some(container),
        };
    }
    if let Some((name, unit)) = unit_of(&components) {
        return Recognised {
            kind: TargetKind::Service,
            name,
            unit: Some(unit),
            container: None,
        };
    }
    Recognised {
        kind: TargetKind::Cgroup,
        name: components.last().map_or("/", |last| *last).to_owned(),
        unit: None,
        container: None,
    }
}

/// The name of what holds the cgroup, and of the cgroup in it. crun puts every container below `container`: that says nothing.
fn with_rest(owner: &str, rest: &[&str]) -> String {
    match rest {
        [] | ["container"] => owner.to_owned(),
        rest => format!("{owner}/{}", rest.join("/")),
    }
}

/// The container whose own cgroup is `components[index]`.
fn container_at(components: &[&str], index: usize) -> Option<Container> {
    let component = *components.get(index)?;
    let above = components.get(..index)?;
    let parent = above.last().copied();
    let pod_uid = || above.iter().rev().find_map(|above| pod_uid(above));
    let stem = component.strip_suffix(".scope").unwrap_or(component);

    if let Some((slice, prefix, id)) = split_colons(stem) {
        let (_, runtime) = PREFIXES.iter().find(|(known, _)| *known == prefix)?;
        return is_id(id).then(|| Container {
            id: id.to_owned(),
            runtime: Some(*runtime),
            pod_uid: self::pod_uid(slice).or_else(pod_uid),
        });
    }
    for (prefix, runtime) in PREFIXES {
        if let Some(id) = stem.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'))
            && is_generated_id(id)
        {
            return Some(Container {
                id: id.to_owned(),
                runtime: Some(runtime),
                pod_uid: pod_uid(),
            });
        }
    }
    let in_pod = parent.and_then(self::pod_uid);
    let runtime = match (parent, &in_pod) {
        (_, Some(_)) if is_id(component) => Some(ContainerRuntime::Containerd),
        (Some("docker"), None) if is_generated_id(component) => Some(ContainerRuntime::Docker),
        (_, None) if is_generated_id(component) => None,
        _ => return None,
    };
    Some(Container {
        id: component.to_owned(),
        runtime,
        pod_uid: in_pod.or_else(pod_uid),
    })
}

/// `kubepods-burstable-podUID.slice:cri-containerd:ID`: systemd's notation taken literally by a cgroupfs driver.
fn split_colons(component: &str) -> Option<(&str, &str, &str)> {
    let mut parts = component.split(':');
    let found = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(found)
}

/// Uid of the pod whose cgroup has this name: `podUID`, or a slice `kubepods[-QOS]-podUID.slice` in which systemd's
/// escaping has turned dashes into underscores. Static pods have a hash of 32 digits instead of a uid.
fn pod_uid(component: &str) -> Option<String> {
    let uid = match component.strip_suffix(".slice") {
        Some(slice) if slice.contains("kubepods") => slice.rsplit_once("-pod")?.1.replace('_', "-"),
        Some(_) => return None,
        None => component.strip_prefix("pod")?.to_owned(),
    };
    let is_uid = (32..=36).contains(&uid.len()) && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uid.then_some(uid)
}

/// The id every engine generates: 64 lower-case hexadecimal digits.
fn is_generated_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// An id a user may choose with containerd: letters, digits and inner `_`, `-`, `.`, at most 76.
fn is_id(id: &str) -> bool {
    let bytes = id.as_bytes();
    bytes.len() <= 76
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && ![".scope", ".slice", ".service"].iter().any(|unit| id.ends_with(unit))
        && !id.contains("-conmon-")
}

/// The innermost systemd service on the way, as (name, service). A scope below a service (a user's application below
/// `user@1000.service`) is not that service, except `init.scope`, which holds the service manager itself.
fn unit_of(components: &[&str]) -> Option<(String, String)> {
    let index = components.iter().rposition(|component| is_service(component))?;
    let unit = *components.get(index)?;
    let rest = match components.get(index + 1..)? {
        ["init.scope"] => &[],
        rest if rest.iter().any(|inner| is_inner_unit(inner)) => return None,
        rest => rest,
    };
    let stem = unit.strip_suffix(".service")?;
    let template = match stem.split_once('@') {
        Some((template, _)) if !template.is_empty() => template,
        _ => stem,
    };
    Some((with_rest(unit, rest), with_rest(template, rest)))
}

fn is_inner_unit(component: &str) -> bool {
    [".scope", ".slice"].iter().any(|suffix| component.ends_with(suffix))
}

fn is_service(component: &str) -> bool {
    component.strip_suffix(".service").is_some_and(|stem| !stem.is_empty())
}

#[cfg(test)]
mod tests;
