//! A running collector, processes to point it at, and servers that answer as a test likes.

use leakwatch::clock::Clock;
use leakwatch::collect::endpoint::Asked;
use leakwatch::collect::endpoint::EndpointCollector;
use leakwatch::collect::endpoint::EndpointConfig;
use leakwatch::collect::endpoint::Urgency;
use leakwatch::collect::endpoint::Watched;
use leakwatch::config::EndpointRule;
use leakwatch::config::origin::Origin;
use leakwatch::input::Input;
use leakwatch::input::TakenProfile;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::watch;

/// Nothing here takes longer; what does has failed.
pub(crate) const DEADLINE: Duration = Duration::from_mins(3);

/// A collector at work.
pub(crate) struct Collecting {
    pub(crate) watched: watch::Sender<Vec<Watched>>,
    inputs: mpsc::Receiver<Input>,
    pub(crate) configs: watch::Sender<EndpointConfig>,
}

/// What came of a profile.
pub(crate) type Answer = Result<TakenProfile, Missing>;

impl Collecting {
    pub(crate) fn start(config: EndpointConfig, processes: Vec<Watched>) -> Self {
        let (watched, receiver) = watch::channel(processes);
        let (sender, inputs) = mpsc::channel(16);
        let (configs, configured) = watch::channel(config);
        tokio::spawn(EndpointCollector::new(configured, Clock::start()).run(receiver, sender));
        Self {
            watched,
            inputs,
            configs,
        }
    }

    /// The type of the profile that comes next, or that is said to be missing.
    pub(crate) async fn next_type(&mut self) -> ProfileType {
        match tokio::time::timeout(DEADLINE, self.inputs.recv())
            .await
            .unwrap()
            .unwrap()
        {
            Input::Profile(profile) => profile.profile_type,
            Input::ProfileMissing { profile_type, .. } => profile_type,
            other => panic!("the collector sent {other:?}"),
        }
    }

    /// The next answer about a profile of this type; others are passed over.
    pub(crate) async fn next(&mut self, profile_type: ProfileType) -> Answer {
        let next = async {
            loop {
                match self.inputs.recv().await.unwrap() {
                    Input::Profile(profile) if profile.profile_type == profile_type => return Ok(profile),
                    Input::ProfileMissing {
                        profile_type: missed,
                        missing,
                        ..
                    } if missed == profile_type => return Err(missing),
                    Input::Profile(_) | Input::ProfileMissing { .. } => {}
                    other => panic!("the collector sent {other:?}"),
                }
            }
        };
        tokio::time::timeout(DEADLINE, next).await.unwrap()
    }
}

/// A process of this machine, named as a Go process of a service.
pub(crate) fn process(pid: u32, service: &str) -> Watched {
    let stat = procfs::process::Process::new(i32::try_from(pid).unwrap())
        .unwrap()
        .stat()
        .unwrap();
    Watched {
        target: TargetId::from_text(service),
        service: service.to_owned(),
        process: ProcessKey {
            pid,
            start_ticks: stat.starttime,
        },
        exe: None,
        go_version: "go1.27.0".to_owned(),
        urgency: Urgency::Calm,
        asked: Asked::Profiles,
        goroutine_leak: false,
    }
}

pub(crate) fn rule(service: &str, address: SocketAddr) -> EndpointRule {
    EndpointRule {
        origin: Origin::Default,
        exe: None,
        service: Some(service.to_owned()),
        port: None,
        url: format!("http://{address}/debug/pprof/"),
    }
}

/// A server of this test process that gives every connection to `answer`.
pub(crate) async fn serve<F, Fut>(answer: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}
