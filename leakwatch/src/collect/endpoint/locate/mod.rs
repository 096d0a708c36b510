//! Where a process may serve its profiles: what a rule says, or its own listening ports.

use crate::collect::endpoint::config::EndpointConfig;
use crate::collect::endpoint::listener::Listeners;
use crate::collect::endpoint::watched::Watched;
use crate::config::EndpointRule;
use http::Uri;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use wildmatch::WildMatch;

/// Ports of one process that are asked before giving up.
const MAX_PLACES: usize = 16;

/// Base of an endpoint, reachable from within the process's network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Address to connect to.
    pub(super) address: SocketAddr,
    /// `Host` of the request.
    pub(super) authority: String,
    /// Path below which the profiles are, ending in a slash.
    base: String,
}

impl Place {
    /// Path of a profile. Never has a query.
    pub(super) fn path(&self, profile_type: ProfileType) -> String {
        format!("{}{}", self.base, profile_type.name())
    }

    fn discovered(address: SocketAddr) -> Self {
        Self {
            address,
            authority: address.to_string(),
            base: "/debug/pprof/".to_owned(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base)
    }
}

/// The places to try, best first, never none.
pub(super) fn places(config: &EndpointConfig, watched: &Watched, listeners: &Listeners) -> Reading<Vec<Place>> {
    let mut configured = None;
    for rule in config.rules.iter().filter(|rule| fits(rule, watched, listeners)) {
        let place = of_rule(rule).and_then(|place| belongs(place, watched, listeners));
        match place {
            Ok(place) => return Ok(vec![place]),
            // Another rule may be the right one for this replica.
            Err(missing) => configured = configured.or(Some(missing)),
        }
    }
    if config.discover {
        let places = discovered(listeners);
        if !places.is_empty() {
            return Ok(places);
        }
    }
    Err(configured.unwrap_or_else(|| nowhere(config, watched)))
}

/// Whether every key that the rule gives matches.
fn fits(rule: &EndpointRule, watched: &Watched, listeners: &Listeners) -> bool {
    let exe = |glob: &String| {
        watched
            .exe
            .as_ref()
            .is_some_and(|exe| WildMatch::new(glob).matches(exe))
    };
    let port = |port: u16| listeners.own().iter().any(|own| own.port() == port);
    rule.exe.as_ref().is_none_or(exe)
        && rule.service.as_ref().is_none_or(|service| *service == watched.service)
        && rule.port.is_none_or(port)
}

fn of_rule(rule: &EndpointRule) -> Reading<Place> {
    let refuse = |why: &str| {
        Missing::new(MissingReason::NotConfigured, format!("url {} {why}", rule.url)).with_fix(
            "give an http url with an IP address or localhost, as seen from within the process's network namespace",
        )
    };
    let uri: Uri = rule.url.parse().map_err(|_error| refuse("is not a url"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let ip = match host {
        // Names are not resolved: the answer may lie on another host.
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        address => address.parse().map_err(|_error| refuse("has no IP address"))?,
    };
    if uri.scheme_str() != Some("http") {
        return Err(refuse("is not http"));
    }
    let path = uri.path();
    Ok(Place {
        address: SocketAddr::new(ip, uri.port_u16().unwrap_or(80)),
        authority: uri.authority().map(ToString::to_string).unwrap_or_default(),
        base: if path.ends_with('/') {
            path.to_owned()
        } else {
            format!("{path}/")
        },
    })
}

/// The place, if connecting there reaches the process and nobody else.
pub(super) fn belongs(place: Place, watched: &Watched, listeners: &Listeners) -> Reading<Place> {
    if listeners.only_own(place.address) {
        return Ok(place);
    }
    let pid = watched.process.pid;
    Err(Missing::new(
        MissingReason::Failed,
        format!(
            "process {pid} does not listen on {} alone, so it is not asked there",
            place.address
        ),
    )
    .with_fix(format!("let url name an address that process {pid} itself listens on")))
}

/// Port 6060 first, which Go's documentation uses; loopback before the rest.
fn discovered(listeners: &Listeners) -> Vec<Place> {
    let mut addresses: Vec<SocketAddr> = listeners
        .own()
        .iter()
        .flat_map(|own| {
            destinations(own.ip())
                .into_iter()
                .map(|ip| SocketAddr::new(ip, own.port()))
        })
        .filter(|address| listeners.only_own(*address))
        .collect();
    addresses.sort_by_key(|address| (address.port() != 6060, !address.ip().is_loopback(), *address));
    addresses.dedup();
    addresses.truncate(MAX_PLACES);
    addresses.into_iter().map(Place::discovered).collect()
}

/// Where to connect to reach a socket bound to this address.
fn destinations(bound: IpAddr) -> Vec<IpAddr> {
    match bound {
        IpAddr::V4(any) if any.is_unspecified() => vec![Ipv4Addr::LOCALHOST.into()],
        // Go's default listener takes both, and either may be switched off.
        IpAddr::V6(any) if any.is_unspecified() => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        // Needs an interface, and no service is offered there.
        IpAddr::V6(link) if link.is_unicast_link_local() => Vec::new(),
        specific => vec![specific],
    }
}

fn nowhere(config: &EndpointConfig, watched: &Watched) -> Missing {
    let pid = watched.process.pid;
    if config.discover {
        Missing::new(
            MissingReason::NotConfigured,
            format!("process {pid} listens on no TCP port of its own, so it serves no profiles"),
        )
        .with_fix("import net/http/pprof and listen on a loopback port, or rely on what is read from outside")
    } else {
        Missing::new(
            MissingReason::NotConfigured,
            format!("no [[go.endpoint]] fits process {pid} and go.discover_endpoints is off"),
        )
        .with_fix("set go.discover_endpoints = true, or add a [[go.endpoint]] with the url of its /debug/pprof/")
    }
}

#[cfg(test)]
mod tests;
